#include "music/loss/cpu/entropy_rule.h"

#include <algorithm>

#include "music/loss/joint_entropy_math.h"

namespace music::cpu {
namespace {

// Turns a piece of a row of P into centred logarithms; returns sum P log.
double centre(float* p, const float* scale, float row_scale,
              std::int64_t count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t b = 0; b < count; ++b) {
    const float g = centred_log(p[b], row_scale * scale[b]);
    sum += p[b] * g;
    p[b] = g;
  }
  return static_cast<double>(sum);
}

}  // namespace

EntropyRule::EntropyRule(const Segments& segments) : segments_(segments) {
  for (std::int64_t s = 0; s < segments_.count(); ++s) {
    const auto size = static_cast<std::size_t>(segments_.size(s));
    segment_of_.insert(segment_of_.end(), size, static_cast<std::int32_t>(s));
    size_of_unit_.insert(size_of_unit_.end(), size, static_cast<float>(size));
  }
}

double EntropyRule::apply(float* tile, std::int64_t row, std::int64_t rows,
                          std::int64_t column, std::int64_t columns) const {
  const float* scale = size_of_unit_.data() + column;
  double entropy = 0;
  for (std::int64_t a = row; a < row + rows; ++a, tile += columns) {
    const std::int64_t s = segment_of_[static_cast<std::size_t>(a)];
    const float row_scale = size_of_unit_[static_cast<std::size_t>(a)];
    const std::int64_t begin =
        std::clamp<std::int64_t>(segments_.begin(s) - column, 0, columns);
    const std::int64_t end =
        std::clamp<std::int64_t>(segments_.begin(s + 1) - column, 0, columns);
    entropy += centre(tile, scale, row_scale, begin);
    std::fill(tile + begin, tile + end, 0.0f);
    entropy += centre(tile + end, scale + end, row_scale, columns - end);
  }
  return entropy;
}

}  // namespace music::cpu
