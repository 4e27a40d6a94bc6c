#include "music/detect/nms.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/core/error.h"

namespace music::detect {
namespace {

// `order`: places of boxes by falling score; those that stay, in this order.
std::vector<std::int32_t> suppress(std::span<const Box> boxes,
                                   std::span<const std::int32_t> order,
                                   double threshold) {
  // The last float that is not above it: .3 is no float.
  float limit = static_cast<float>(threshold);
  if (static_cast<double>(limit) > threshold)
    limit = std::nextafter(limit, -1.0f);
  // In order, coordinate by coordinate, for vector instructions.
  const std::size_t n = order.size();
  std::vector<float> x1(n), y1(n), x2(n), y2(n), area(n);
  for (std::size_t i = 0; i < n; ++i) {
    const Box& b = boxes[static_cast<std::size_t>(order[i])];
    x1[i] = b.x1, y1[i] = b.y1, x2[i] = b.x2, y2[i] = b.y2;
    area[i] = b.area();
  }
  std::vector<char> gone(n);
  std::vector<std::int32_t> kept;
  for (std::size_t i = 0; i < n; ++i) {
    if (gone[i]) continue;
    kept.push_back(order[i]);
#pragma omp simd
    for (std::size_t j = i + 1; j < n; ++j) {
      const float w =
          std::max(0.0f, std::min(x2[i], x2[j]) - std::max(x1[i], x1[j]));
      const float h =
          std::max(0.0f, std::min(y2[i], y2[j]) - std::max(y1[i], y1[j]));
      const float both = w * h;
      gone[j] |= both / (area[i] + area[j] - both) > limit;
    }
  }
  return kept;
}

std::vector<std::int32_t> by_score(std::span<const Box> boxes,
                                   std::span<const float> scores) {
  MUSIC_CHECK(boxes.size() == scores.size(),
              "[nms] {} boxes with {} scores", boxes.size(), scores.size());
  std::vector<std::int32_t> order(boxes.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int32_t a, std::int32_t b) {
                     return scores[static_cast<std::size_t>(a)] >
                            scores[static_cast<std::size_t>(b)];
                   });
  return order;
}

}  // namespace

std::vector<std::int32_t> nms(std::span<const Box> boxes,
                              std::span<const float> scores, double threshold) {
  return suppress(boxes, by_score(boxes, scores), threshold);
}

std::vector<std::int32_t> nms_by_class(std::span<const Box> boxes,
                                       std::span<const float> scores,
                                       std::span<const std::int32_t> classes,
                                       double threshold) {
  MUSIC_CHECK(boxes.size() == classes.size(), "[nms] {} boxes with {} classes",
              boxes.size(), classes.size());
  const std::vector<std::int32_t> order = by_score(boxes, scores);
  const auto class_of = [&](std::int32_t i) {
    return classes[static_cast<std::size_t>(i)];
  };
  std::vector<std::int32_t> grouped = order;
  std::stable_sort(grouped.begin(), grouped.end(),
                   [&](std::int32_t a, std::int32_t b) {
                     return class_of(a) < class_of(b);
                   });
  std::vector<char> stays(boxes.size());
  for (auto first = grouped.begin(); first != grouped.end();) {
    const auto last = std::find_if(first, grouped.end(), [&](std::int32_t i) {
      return class_of(i) != class_of(*first);
    });
    for (const std::int32_t i : suppress(boxes, {first, last}, threshold))
      stays[static_cast<std::size_t>(i)] = 1;
    first = last;
  }
  std::vector<std::int32_t> kept;
  for (const std::int32_t i : order)
    if (stays[static_cast<std::size_t>(i)]) kept.push_back(i);
  return kept;
}

}  // namespace music::detect
