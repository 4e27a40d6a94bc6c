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

EntropyRule::EntropyRule(const Segments& segments,
                         const std::vector<double>& blocks)
    : segments_(segments), blocks_(blocks.begin(), blocks.end()) {
  for (std::int64_t s = 0; s < segments_.count(); ++s) {
    const auto size = static_cast<std::size_t>(segments_.size(s));
    segment_of_.insert(segment_of_.end(), size, static_cast<std::int32_t>(s));
    size_of_unit_.insert(size_of_unit_.end(), size, static_cast<float>(size));
  }
}

bool EntropyRule::is_zero(std::int64_t row, std::int64_t rows,
                          std::int64_t column, std::int64_t columns) const {
  if (blocks_.empty()) return false;
  const auto segment = [&](std::int64_t unit) {
    return std::int64_t{segment_of_[static_cast<std::size_t>(unit)]};
  };
  const std::int64_t last = segment(column + columns - 1);
  for (std::int64_t s = segment(row); s <= segment(row + rows - 1); ++s)
    for (std::int64_t t = segment(column); t <= last; ++t)
      if (s != t &&
          blocks_[static_cast<std::size_t>(s * segments_.count() + t)] != 0)
        return false;
  return true;
}

double EntropyRule::take(float* tile, std::int64_t segment, float row_scale,
                         std::int64_t column, std::int64_t begin,
                         std::int64_t end) const {
  const float* const scale = size_of_unit_.data() + column;
  if (blocks_.empty())
    return centre(tile + begin, scale + begin, row_scale, end - begin);
  double entropy = 0;
  while (begin < end) {
    const std::int64_t s =
        segment_of_[static_cast<std::size_t>(column + begin)];
    const std::int64_t stop = std::min(segments_.begin(s + 1) - column, end);
    const float weight =
        blocks_[static_cast<std::size_t>(segment * segments_.count() + s)];
    if (weight != 0)
      entropy += static_cast<double>(weight) *
                 centre(tile + begin, scale + begin, row_scale, stop - begin);
#pragma omp simd
    for (std::int64_t b = begin; b < stop; ++b)
      tile[b] = weight == 0 ? 0 : weight * tile[b];
    begin = stop;
  }
  return entropy;
}

double EntropyRule::apply(float* tile, std::int64_t row, std::int64_t rows,
                          std::int64_t column, std::int64_t columns) const {
  double entropy = 0;
  for (std::int64_t a = row; a < row + rows; ++a, tile += columns) {
    const std::int64_t s = segment_of_[static_cast<std::size_t>(a)];
    const float row_scale = size_of_unit_[static_cast<std::size_t>(a)];
    const std::int64_t begin =
        std::clamp<std::int64_t>(segments_.begin(s) - column, 0, columns);
    const std::int64_t end =
        std::clamp<std::int64_t>(segments_.begin(s + 1) - column, 0, columns);
    entropy += take(tile, s, row_scale, column, 0, begin);
    std::fill(tile + begin, tile + end, 0.0f);
    entropy += take(tile, s, row_scale, column, end, columns);
  }
  return entropy;
}

}  // namespace music::cpu
