#pragma once
// Elements of tensors in kernels: F32, F16 and BF16 are read and written as
// float, eight at a time where the address allows 16-byte accesses.

#include <cuda_runtime.h>

#include <bit>
#include <cstdint>
#include <type_traits>

#include "engine/core/dtype.h"
#include "engine/core/half.h"

namespace music::cuda {

constexpr int kPack = 8;  // elements a thread takes at a time

__device__ inline float to_real(float v) { return v; }
__device__ inline float to_real(Half v) { return to_float(v); }
__device__ inline float to_real(BFloat16 v) { return to_float(v); }

template <typename T>
__device__ T from_real(float v);
template <>
__device__ inline float from_real<float>(float v) { return v; }
template <>
__device__ inline Half from_real<Half>(float v) { return to_half(v); }
template <>
__device__ inline BFloat16 from_real<BFloat16>(float v) {
  return to_bfloat16(v);
}

// Eight elements at p, which is aligned to 16 bytes.
__device__ inline void load8(const float* p, float (&v)[kPack]) {
  const float4 a = reinterpret_cast<const float4*>(p)[0];
  const float4 b = reinterpret_cast<const float4*>(p)[1];
  v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w;
  v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
}
__device__ inline void store8(float* p, const float (&v)[kPack]) {
  reinterpret_cast<float4*>(p)[0] = {v[0], v[1], v[2], v[3]};
  reinterpret_cast<float4*>(p)[1] = {v[4], v[5], v[6], v[7]};
}
template <typename T>  // of 16 bits
__device__ inline void load8(const T* p, float (&v)[kPack]) {
  const uint4 words = *reinterpret_cast<const uint4*>(p);
  const std::uint32_t w[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    v[2 * i] = to_real(T{static_cast<std::uint16_t>(w[i])});
    v[2 * i + 1] = to_real(T{static_cast<std::uint16_t>(w[i] >> 16)});
  }
}
template <typename T>
__device__ inline void store8(T* p, const float (&v)[kPack]) {
  std::uint32_t w[4];
#pragma unroll
  for (int i = 0; i < 4; ++i)
    w[i] = from_real<T>(v[2 * i]).bits |
           static_cast<std::uint32_t>(from_real<T>(v[2 * i + 1]).bits) << 16;
  *reinterpret_cast<uint4*>(p) = {w[0], w[1], w[2], w[3]};
}

// kWidth elements, eight (p aligned to 16 bytes) or one.
template <int kWidth, typename T>
__device__ inline void load_elements(const T* p, float (&v)[kWidth]) {
  static_assert(kWidth == kPack || kWidth == 1);
  if constexpr (kWidth == kPack) load8(p, v);
  else v[0] = to_real(*p);
}
template <int kWidth, typename T>
__device__ inline void store_elements(T* p, const float (&v)[kWidth]) {
  static_assert(kWidth == kPack || kWidth == 1);
  if constexpr (kWidth == kPack) store8(p, v);
  else *p = from_real<T>(v[0]);
}

// The elements [i, n) of p, eight or what is left; elements behind the end read
// as 0 and are not written. i is a multiple of 8, p aligned to 16 bytes.
template <typename T>
__device__ inline void load_tail(const T* p, std::int64_t i, std::int64_t n,
                                 float (&v)[kPack]) {
  if (i + kPack <= n) return load8(p + i, v);
#pragma unroll
  for (int j = 0; j < kPack; ++j) v[j] = i + j < n ? to_real(p[i + j]) : 0.0f;
}
template <typename T>
__device__ inline void store_tail(T* p, std::int64_t i, std::int64_t n,
                                  const float (&v)[kPack]) {
  if (i + kPack <= n) return store8(p + i, v);
#pragma unroll
  for (int j = 0; j < kPack; ++j)
    if (i + j < n) p[i + j] = from_real<T>(v[j]);
}

// Calls fn(T{}) with T the element type of a floating-point dtype.
template <typename F>
void with_real_type(DType dtype, const char* op, F&& fn) {
  switch (dtype) {
    case DType::kF32: return fn(float{});
    case DType::kF16: return fn(Half{});
    case DType::kBF16: return fn(BFloat16{});
    default:
      throw error(ExitCode::kInternal, "[{}] on a GPU: F32, F16 or BF16, not {}",
                  op, name_of(dtype));
  }
}

// The same for rows of `channels`, which are read kWidth at a time:
// fn(T{}, std::integral_constant<int, kWidth>{}).
template <typename F>
void with_channel_packs(DType dtype, std::int64_t channels, const char* op,
                        F&& fn) {
  with_real_type(dtype, op, [&](auto real) {
    if (channels % kPack == 0)
      fn(real, std::integral_constant<int, kPack>{});
    else
      fn(real, std::integral_constant<int, 1>{});
  });
}

}  // namespace music::cuda
