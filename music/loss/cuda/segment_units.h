#pragma once
// The units of a segment shared out over the lanes of a warp: lane + 32 k.

#include <cuda_runtime.h>

#include <type_traits>

namespace music::cuda {

// Calls fn(k, unit) for the units of the calling lane. Up to 32 kHeld units may
// be kept in registers, at index k, between passes; with kHeld 0 segments have
// any size, k is 0 and each pass reads its units again.
template <int kHeld, typename F>
__device__ __forceinline__ void for_units(int size, F&& fn) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  if constexpr (kHeld == 0) {
    for (int d = lane; d < size; d += 32) fn(0, d);
  } else {
#pragma unroll
    for (int k = 0; k < kHeld; ++k)
      if (lane + 32 * k < size) fn(k, lane + 32 * k);
  }
}

// Length of an array that holds a lane's units.
template <int kHeld>
inline constexpr int kHeldUnits = kHeld > 0 ? kHeld : 1;

// Calls fn with kHeld, as an integral constant, for segments of up to `largest`
// units.
template <typename F>
void with_held_units(int largest, F&& fn) {
  if (largest <= 3 * 32) return fn(std::integral_constant<int, 3>());
  if (largest <= 8 * 32) return fn(std::integral_constant<int, 8>());
  fn(std::integral_constant<int, 0>());
}

}  // namespace music::cuda
