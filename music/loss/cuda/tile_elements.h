#pragma once
// The kernel of every tile rule: one pass over a block of M. For .cu files.

#include <cstdint>

#include "engine/core/error.h"
#include "engine/core/half.h"
#include "engine/cuda/block_reduce.h"
#include "engine/cuda/elements.h"
#include "engine/cuda/launch.h"
#include "music/loss/cuda/tile_rule.h"

namespace music::cuda {

// sums[b]: the sum of f that block b met. A warp takes rows, 256 columns at a
// time. Elements, copied to the device, has
//   Row row(const TileBlock&, std::int64_t a), of row a of the block, and
//   float take(const Row&, const TileBlock&, std::int64_t b, float (&v)[kPack]):
// replaces the elements from column b of the block on by f' and returns their
// sum of f; those behind the block's last column are 0 and must count as 0.
template <typename Elements, typename T>
__global__ void __launch_bounds__(32 * kTileWarps)
    apply_rule(Elements elements, TileBlock block, const float* m,
               std::int64_t m_stride, T* g, std::int64_t g_stride,
               double* sums) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  double sum = 0;
  for (std::int64_t a = std::int64_t{blockIdx.x} * kTileWarps + threadIdx.x / 32;
       a < block.rows; a += std::int64_t{gridDim.x} * kTileWarps) {
    const auto row = elements.row(block, a);
    const float* const values = m + a * m_stride;
    for (std::int64_t b = lane * kPack; b < block.columns; b += 32 * kPack) {
      float v[kPack];
      load_tail(values, b, block.columns, v);
      sum += static_cast<double>(elements.take(row, block, b, v));
      if (g) store_tail(g + a * g_stride, b, block.columns, v);
    }
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

template <typename Elements>
void launch_rule(const Elements& elements, const TileBlock& block,
                 const float* m, std::int64_t m_stride, void* g,
                 std::int64_t g_stride, DType type, double* sums,
                 void* stream) {
  const auto run = [&]<typename T>(T) {
    launch(apply_rule<Elements, T>,
           {tile_parts(block.rows), 1, 1, 32 * kTileWarps}, stream, elements,
           block, m, m_stride, static_cast<T*>(g), g_stride, sums);
  };
  if (type == DType::kF16)
    run(Half{});
  else
    run(float{});
}

}  // namespace music::cuda
