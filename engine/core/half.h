#pragma once
// IEEE binary16 and bfloat16 as bit patterns, conversions round to nearest
// even. Plain integer code, the same result on every machine; on a GPU its
// conversion instructions, which round the same (a NaN may have other bits).

#include <bit>
#include <cstdint>

#include "engine/core/host_device.h"

namespace music {

struct Half { std::uint16_t bits = 0; };
struct BFloat16 { std::uint16_t bits = 0; };

MUSIC_HOST_DEVICE inline Half to_half(float value) {
#ifdef __CUDA_ARCH__
  Half h;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h.bits) : "f"(value));
  return h;
#else
  const std::uint32_t f = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (f >> 16) & 0x8000u;
  const std::uint32_t magnitude = f & 0x7FFFFFFFu;
  if (magnitude >= 0x7F800000u)  // Inf, NaN (kept quiet)
    return {static_cast<std::uint16_t>(
        sign | 0x7C00u | (magnitude > 0x7F800000u ? 0x200u : 0u))};
  if (magnitude >= 0x477FF000u)  // rounds to 65536 or more
    return {static_cast<std::uint16_t>(sign | 0x7C00u)};
  if (magnitude < 0x38800000u) {  // subnormal: adding 0.5 aligns and rounds
    const float aligned = std::bit_cast<float>(magnitude) + 0.5f;
    return {static_cast<std::uint16_t>(
        sign | (std::bit_cast<std::uint32_t>(aligned) - 0x3F000000u))};
  }
  const std::uint32_t odd = (magnitude >> 13) & 1u;
  return {static_cast<std::uint16_t>(
      sign | ((magnitude - 0x38000000u + 0xFFFu + odd) >> 13))};
#endif
}

MUSIC_HOST_DEVICE inline float to_float(Half h) {
#ifdef __CUDA_ARCH__
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(h.bits));
  return value;
#else
  const std::uint32_t sign = std::uint32_t{h.bits & 0x8000u} << 16;
  const std::uint32_t magnitude = h.bits & 0x7FFFu;
  if (magnitude >= 0x7C00u)
    return std::bit_cast<float>(sign | 0x7F800000u | (magnitude & 0x3FFu) << 13);
  if (magnitude < 0x400u) {  // zero and subnormal: multiples of 2^-24
    const float v = static_cast<float>(magnitude) * 0x1p-24f;
    return sign ? -v : v;
  }
  return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000u));
#endif
}

MUSIC_HOST_DEVICE inline BFloat16 to_bfloat16(float value) {
  const std::uint32_t f = std::bit_cast<std::uint32_t>(value);
  if ((f & 0x7FFFFFFFu) > 0x7F800000u)
    return {static_cast<std::uint16_t>((f >> 16) | 0x40u)};
  return {static_cast<std::uint16_t>((f + 0x7FFFu + ((f >> 16) & 1u)) >> 16)};
}

MUSIC_HOST_DEVICE inline float to_float(BFloat16 b) {
  return std::bit_cast<float>(std::uint32_t{b.bits} << 16);
}

}  // namespace music
