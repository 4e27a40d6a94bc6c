#pragma once
// Softmax of one row by one warp: the row is read from memory once and from
// the cache after that.

#include "engine/cuda/block_reduce.h"

namespace music::cuda {

// The sum of exp((z_i - top) * scale) over z[0..n), with top the largest z_i;
// in every lane. A NaN among the z_i makes sum NaN.
template <typename Sum>
struct Exponentials {
  float top;
  Sum sum;
};

template <typename Sum>
__device__ inline Exponentials<Sum> warp_exponentials(const float* z, int n,
                                                      float scale) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  float top = -INFINITY;
  for (int i = lane; i < n; i += 32) top = z[i] > top ? z[i] : top;
  top = warp_max(top);
  Sum sum = 0;
  for (int i = lane; i < n; i += 32)
    sum += static_cast<Sum>(expf((z[i] - top) * scale));
  return {top, warp_sum(sum)};
}

}  // namespace music::cuda
