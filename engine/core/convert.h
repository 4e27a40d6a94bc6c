#pragma once
// One element of one type as another, rounded to nearest even once. Shared by
// the bodies of cast on every device. From double, float, Half, BFloat16 and
// uint8_t to the first four.

#include <bit>
#include <cstdint>
#include <type_traits>

#include "engine/core/half.h"
#include "engine/core/host_device.h"

namespace music {

// fp64 to fp32 rounded to odd: what is lost stays in the last bit, so that
// rounding on to 16 bits rounds as if once.
MUSIC_HOST_DEVICE inline float round_to_odd(double v) {
  const float f = static_cast<float>(v);
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(f);
  const double back = static_cast<double>(f);
  if (back == v || (bits & 0x7F800000u) == 0x7F800000u) return f;
  // One down where the cast went away from zero.
  const bool away = (back > v) == (v > 0);
  return std::bit_cast<float>((away ? bits - 1 : bits) | 1u);
}

template <typename To, typename From>
MUSIC_HOST_DEVICE inline To convert(From v) {
  constexpr bool narrow =
      std::is_same_v<To, Half> || std::is_same_v<To, BFloat16>;
  if constexpr (std::is_same_v<From, Half> || std::is_same_v<From, BFloat16>)
    return convert<To>(to_float(v));
  else if constexpr (narrow && std::is_same_v<From, double>)
    return convert<To>(round_to_odd(v));
  else if constexpr (std::is_same_v<To, Half>)
    return to_half(static_cast<float>(v));
  else if constexpr (std::is_same_v<To, BFloat16>)
    return to_bfloat16(static_cast<float>(v));
  else
    return static_cast<To>(v);
}

}  // namespace music
