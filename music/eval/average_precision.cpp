#include "music/eval/average_precision.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/core/error.h"

namespace music {
namespace {

// A threshold: what is at or above it.
struct Point {
  double recall, precision;
};

std::vector<Point> curve(std::span<const double> scores,
                         std::span<const std::int8_t> targets) {
  MUSIC_CHECK(scores.size() == targets.size(), "[svm] {} scores of {} images",
              scores.size(), targets.size());
  std::vector<std::size_t> order;
  std::int64_t positives = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i]))
      throw error(ExitCode::kData, "[svm] the score of image {} is NaN", i);
    if (targets[i] != 0) order.push_back(i);
    positives += targets[i] > 0;
  }
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return scores[a] > scores[b];
  });
  std::vector<Point> points;
  std::int64_t hits = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    hits += targets[order[i]] > 0;
    const bool more_of_it =
        i + 1 < order.size() && scores[order[i + 1]] == scores[order[i]];
    if (more_of_it) continue;
    points.push_back(
        {static_cast<double>(hits) / static_cast<double>(positives),
         static_cast<double>(hits) / static_cast<double>(i + 1)});
  }
  if (positives == 0) points.clear();
  return points;
}

double area(const std::vector<Point>& points) {
  if (points.empty()) return std::numeric_limits<double>::quiet_NaN();
  double sum = 0, before = 0;
  for (const Point& p : points) {
    sum += (p.recall - before) * p.precision;
    before = p.recall;
  }
  return sum;
}

}  // namespace

double average_precision(std::span<const double> scores,
                         std::span<const std::int8_t> targets) {
  return area(curve(scores, targets));
}

double envelope_precision(std::span<const double> scores,
                          std::span<const std::int8_t> targets) {
  std::vector<Point> points = curve(scores, targets);
  for (std::size_t i = points.size(); i-- > 1;)
    points[i - 1].precision =
        std::max(points[i - 1].precision, points[i].precision);
  return area(points);
}

}  // namespace music
