#pragma once
// COCO's settings of scoring, as pycocotools' numbers are to the bit.

#include <array>
#include <cstddef>

namespace music::coco {

inline constexpr std::size_t kThresholds = 10, kRecalls = 101, kAreas = 4,
                             kLimits = 3;

// Intersection over union that counts: .5 to .95. The ninth is
// 0.8999999999999999.
// Computed by the compiler, which fuses no products.
inline constexpr auto kIouThresholds = [] {
  std::array<double, kThresholds> t{};
  const double step = (0.95 - 0.5) / 9;
  for (std::size_t i = 0; i < t.size(); ++i)
    t[i] = static_cast<double>(i) * step + 0.5;
  t.back() = 0.95;
  return t;
}();

// Recalls at which precision is read: i * 0.01, which is not i / 100 for ten i.
inline constexpr auto kRecallThresholds = [] {
  std::array<double, kRecalls> r{};
  for (std::size_t i = 0; i < r.size(); ++i)
    r[i] = static_cast<double>(i) * 0.01;
  r.back() = 1;
  return r;
}();

// Square pixels, both ends belong to it.
struct AreaRange {
  const char* name;
  double low, high;
  bool holds(double area) const { return area >= low && area <= high; }
};
inline constexpr std::array<AreaRange, kAreas> kAreaRanges{{
    {"all", 0, 1e10},
    {"small", 0, 32 * 32},
    {"medium", 32 * 32, 96 * 96},
    {"large", 96 * 96, 1e10}}};

// Detections of an image and category that count, the best first.
inline constexpr std::array<std::size_t, kLimits> kDetectionLimits{1, 10, 100};

}  // namespace music::coco
