#pragma once
// The kernel of sums over the samples by columns. For .cu files.

#include <cstdint>

#include "engine/cuda/launch.h"

namespace music::cuda {

constexpr int kColumnSumWarps = 8;  // share the rows of 32 columns

// sums[k D + d], k < F::kSums: the sum over rows i < n of what
// f(i, d, double (&)[kSums]) adds to its k-th argument. A block takes 32
// columns; the same bits each run.
template <typename F>
__global__ void __launch_bounds__(32 * kColumnSumWarps)
    sum_columns(F f, std::int64_t n, std::int64_t units, double* sums) {
  constexpr int kSums = F::kSums;
  MUSIC_SHARED(double, of_warp, kColumnSumWarps * kSums * 32);
  const int warp = static_cast<int>(threadIdx.x / 32);
  const int lane = static_cast<int>(threadIdx.x % 32);
  const std::int64_t column = std::int64_t{blockIdx.x} * 32 + lane;
  double sum[kSums] = {};
  if (column < units)
    for (std::int64_t i = warp; i < n; i += kColumnSumWarps) f(i, column, sum);
  for (int k = 0; k < kSums; ++k)
    of_warp[(warp * kSums + k) * 32 + lane] = sum[k];
  __syncthreads();
  if (warp > 0 || column >= units) return;
  for (int w = 1; w < kColumnSumWarps; ++w)
    for (int k = 0; k < kSums; ++k)
      sum[k] += of_warp[(w * kSums + k) * 32 + lane];
  for (int k = 0; k < kSums; ++k) sums[k * units + column] = sum[k];
}

template <typename F>
void launch_column_sums(const F& f, std::int64_t n, std::int64_t units,
                        double* sums, void* stream) {
  launch(sum_columns<F>, {ceil_div(units, 32), 1, 1, 32 * kColumnSumWarps},
         stream, f, n, units, sums);
}

}  // namespace music::cuda
