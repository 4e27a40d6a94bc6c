#pragma once
// What a loss does with the elements of a product of two views on the GPU,
// M = scale A^T B: the GPU's side of music/loss/cpu/tile_rule.h.

#include <algorithm>
#include <cstdint>

#include "engine/core/dtype.h"
#include "engine/cuda/launch.h"

namespace music::cuda {

// A block of M: rows and columns from `row` and `column` on.
struct TileBlock {
  std::int64_t row, rows, column, columns;
};

// A rule's sums over a block are in so many parts.
constexpr int kTileWarps = 8;
inline std::int64_t tile_parts(std::int64_t rows) {
  return std::min<std::int64_t>(ceil_div(rows, kTileWarps), 132 * 8);
}

class TileRule {
 public:
  virtual ~TileRule() = default;
  // M of a block [rows, m_stride] to f', of `type` F32 or F16, [rows,
  // g_stride]; g may be m, or null. sums [tile_parts(rows)]: parts of the sum of
  // f. m and g are multiples of 16 bytes, strides of 8 elements.
  virtual void apply(const TileBlock& block, const float* m,
                     std::int64_t m_stride, void* g, std::int64_t g_stride,
                     DType type, double* sums, void* stream) const = 0;
};

}  // namespace music::cuda
