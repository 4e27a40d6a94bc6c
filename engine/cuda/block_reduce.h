#pragma once
// Sums and maxima over the threads of a warp or a block, in an order that
// depends on the number of threads alone: the same bits each run.

#include <cuda_runtime.h>

#include "engine/cuda/launch.h"

namespace music::cuda {

constexpr unsigned kAllLanes = 0xFFFFFFFFu;

// Of the warp, in every lane; all lanes call.
template <typename T>
__device__ inline T warp_sum(T v) {
#pragma unroll
  for (int bits = 16; bits > 0; bits /= 2)
    v += __shfl_xor_sync(kAllLanes, v, bits);
  return v;
}
template <typename T>
__device__ inline T warp_max(T v) {
#pragma unroll
  for (int bits = 16; bits > 0; bits /= 2) {
    const T other = __shfl_xor_sync(kAllLanes, v, bits);
    v = other > v ? other : v;
  }
  return v;
}

// Of the block, in thread 0; all threads call.
template <typename T>
__device__ inline T block_sum(T v) {
  MUSIC_SHARED(T, of_warp, 32);
  const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  v = warp_sum(v);
  __syncthreads();  // a call before this one has been read
  if (lane == 0) of_warp[warp] = v;
  __syncthreads();
  if (warp == 0) v = warp_sum(lane < blockDim.x / 32 ? of_warp[lane] : T{0});
  return v;
}

// The same in every thread. The block has met when it returns: what a thread
// wrote to memory before, the others may read.
template <typename T>
__device__ inline T block_sum_everywhere(T v) {
  MUSIC_SHARED(T, of_warp, 32);
  const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  v = warp_sum(v);
  __syncthreads();  // a call before this one has been read
  if (lane == 0) of_warp[warp] = v;
  __syncthreads();
  return warp_sum(lane < blockDim.x / 32 ? of_warp[lane] : T{0});
}
template <typename T>
__device__ inline T block_max_everywhere(T v) {
  MUSIC_SHARED(T, of_warp, 32);
  const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  v = warp_max(v);
  __syncthreads();
  if (lane == 0) of_warp[warp] = v;
  __syncthreads();
  return warp_max(of_warp[lane < blockDim.x / 32 ? lane : 0]);
}

// y = sum of x[0..n) / divisor; one block.
template <typename T>
__global__ void mean_of(const double* x, std::int64_t n, double divisor, T* y) {
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += x[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *y = static_cast<T>(sum / divisor);
}

}  // namespace music::cuda
