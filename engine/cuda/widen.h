#pragma once
// Copies a tensor of any floating-point type to F32: what the libraries leave
// in 16 bits and the engine keeps wide.

#include "engine/cuda/elements.h"
#include "engine/cuda/launch.h"

namespace music::cuda {

template <typename T>
__global__ void widen_elements(const T* x, float* y, std::int64_t n) {
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x * kPack;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x) *
                        kPack;
       i < n; i += stride) {
    float v[kPack];
    load_tail(x, i, n, v);
    store_tail(y, i, n, v);
  }
}

// Both aligned to 16 bytes.
template <typename T>
void widen(const T* x, float* y, std::int64_t n, void* stream) {
  launch(widen_elements<T>, grid_stride(ceil_div(n, kPack)), stream, x, y, n);
}

}  // namespace music::cuda
