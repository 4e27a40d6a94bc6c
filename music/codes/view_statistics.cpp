#include "music/codes/view_statistics.h"

#include <algorithm>
#include <cmath>

#include "engine/core/error.h"
#include "music/codes/soft_codes.h"

namespace music {
namespace {

constexpr float kClamp = 1e-8f;  // of q in e^-TI: the loss's default

// log of the chance that both draw the same unit.
double log_chance(const float* a, const float* b, std::int64_t n) {
  double chance = 0;
  for (std::int64_t d = 0; d < n; ++d)
    chance += static_cast<double>(std::max(a[d], kClamp)) *
              static_cast<double>(std::max(b[d], kClamp));
  return std::log(chance);
}

}  // namespace

ViewStatistics::ViewStatistics(const Segments& segments, double temperature,
                               std::int64_t first)
    : segments_(segments), temperature_(temperature),
      first_(std::min(first, segments.units())),
      joint_(static_cast<std::size_t>(first_ * first_)) {
  MUSIC_CHECK(first >= 1, "[codes] P of the first {} units", first);
}

void ViewStatistics::add(const float* first_view, const float* second_view,
                         std::int64_t n) {
  const std::int64_t units = segments_.units(), count = segments_.count();
  q_.resize(static_cast<std::size_t>(2 * n * units));
  float *q1 = q_.data(), *q2 = q1 + n * units;
  soft_codes(first_view, n, segments_, temperature_, q1);
  soft_codes(second_view, n, segments_, temperature_, q2);
  images_ += n;
  // Image after image in each element, whatever the batch.
#pragma omp parallel for schedule(static)
  for (std::int64_t a = 0; a < first_; ++a) {
    double* row = joint_.data() + a * first_;
    for (std::int64_t i = 0; i < n; ++i) {
      const auto weight = static_cast<double>(q1[i * units + a]);
      const float* other = q2 + i * units;
      for (std::int64_t b = 0; b < first_; ++b)
        row[b] += weight * static_cast<double>(other[b]);
    }
  }
  std::vector<double> chances(static_cast<std::size_t>(n));
  std::int64_t same = 0;
#pragma omp parallel for schedule(static) reduction(+ : same)
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t s = 0; s < count; ++s) {
      const std::int64_t from = i * units + segments_.begin(s);
      const std::int64_t size = segments_.size(s);
      chances[static_cast<std::size_t>(i)] += log_chance(q1 + from, q2 + from, size);
      const auto winner = [&](const float* z) {
        return std::max_element(z + from, z + from + size) - (z + from);
      };
      same += winner(first_view) == winner(second_view);
    }
  for (const double chance : chances) log_chances_ += chance;
  same_ += same;
}

std::vector<float> ViewStatistics::joint() const {
  MUSIC_CHECK(images_ > 0, "[codes] statistics of no image");
  std::vector<float> p;
  for (const double sum : joint_)
    p.push_back(static_cast<float>(sum / static_cast<double>(images_)));
  return p;
}

double ViewStatistics::agreement() const {
  MUSIC_CHECK(images_ > 0, "[codes] statistics of no image");
  return std::exp(log_chances_ /
                  static_cast<double>(images_ * segments_.count()));
}

double ViewStatistics::same_codes() const {
  MUSIC_CHECK(images_ > 0, "[codes] statistics of no image");
  return static_cast<double>(same_) /
         static_cast<double>(images_ * segments_.count());
}

}  // namespace music
