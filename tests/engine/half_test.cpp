#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "engine/core/half.h"
#include "engine/core/rng.h"

namespace music {
namespace {

// The value of a bit pattern with `exponent_bits` and `mantissa_bits`, by the
// definition of the format. Finite patterns only.
double value_of(std::uint32_t bits, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = static_cast<int>((bits >> mantissa_bits) &
                                        ((1u << exponent_bits) - 1));
  const double mantissa = std::ldexp(
      static_cast<double>(bits & ((1u << mantissa_bits) - 1)), -mantissa_bits);
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, 1 - bias)
                    : std::ldexp(1 + mantissa, exponent - bias);
  return (bits & 0x8000u) != 0 ? -magnitude : magnitude;
}

// Counts, so that a test of millions of values is a handful of assertions.
template <typename F>
std::int64_t count_failures(F&& holds) {
  std::int64_t failures = 0;
  for (std::uint32_t bits = 0; bits < 0x10000u; ++bits)
    if (!holds(static_cast<std::uint16_t>(bits))) ++failures;
  return failures;
}

struct Format {
  int exponent_bits, mantissa_bits;
  std::uint16_t infinity;
};
constexpr Format kHalf{5, 10, 0x7C00}, kBFloat16{8, 7, 0x7F80};

// Every pattern: decode equals the definition, and encode gives it back.
template <typename Decode, typename Encode>
void check_round_trip(const Format& f, Decode&& decode, Encode&& encode) {
  CHECK(count_failures([&](std::uint16_t bits) {
          const std::uint16_t magnitude = bits & 0x7FFF;
          const float v = decode(bits);
          if (magnitude > f.infinity)
            return std::isnan(v) && (encode(v) & 0x7FFF) > f.infinity;
          if (magnitude == f.infinity)
            return std::isinf(v) && std::signbit(v) == (bits > 0x7FFF) &&
                   encode(v) == bits;
          return v == value_of(bits, f.exponent_bits, f.mantissa_bits) &&
                 std::signbit(v) == (bits > 0x7FFF) && encode(v) == bits;
        }) == 0);
}

// Between each pair of neighbours: the midpoint goes to the even one, a float
// on either side of it to the nearer one.
template <typename Encode>
void check_rounding(const Format& f, Encode&& encode) {
  CHECK(count_failures([&](std::uint16_t bits) {
          const std::uint16_t magnitude = bits & 0x7FFF;
          if (magnitude >= f.infinity) return true;
          const auto above = static_cast<std::uint16_t>(bits + 1);
          // One past the largest finite value is the power of two that would
          // follow it: infinity stands for it.
          const double next =
              magnitude + 1 == f.infinity
                  ? std::copysign(
                        std::ldexp(1.0, 1 << (f.exponent_bits - 1)),
                        value_of(bits, f.exponent_bits, f.mantissa_bits))
                  : value_of(above, f.exponent_bits, f.mantissa_bits);
          const float middle = static_cast<float>(
              0.5 * (value_of(bits, f.exponent_bits, f.mantissa_bits) + next));
          const float zero = 0, far = std::copysign(
              std::numeric_limits<float>::infinity(), middle);
          return encode(middle) == ((bits & 1) == 0 ? bits : above) &&
                 encode(std::nextafter(middle, zero)) == bits &&
                 encode(std::nextafter(middle, far)) == above;
        }) == 0);
}

TEST_SUITE("half") {
  TEST_CASE("all 65536 half values decode by definition and encode back") {
    check_round_trip(
        kHalf, [](std::uint16_t b) { return to_float(Half{b}); },
        [](float v) { return to_half(v).bits; });
  }

  TEST_CASE("all 65536 bfloat16 values decode by definition and encode back") {
    check_round_trip(
        kBFloat16, [](std::uint16_t b) { return to_float(BFloat16{b}); },
        [](float v) { return to_bfloat16(v).bits; });
  }

  TEST_CASE("half rounds to nearest, ties to even, at every boundary") {
    check_rounding(kHalf, [](float v) { return to_half(v).bits; });
  }

  TEST_CASE("bfloat16 rounds to nearest, ties to even, at every boundary") {
    check_rounding(kBFloat16, [](float v) { return to_bfloat16(v).bits; });
  }

  TEST_CASE("limits") {
    CHECK(to_half(65504.0f).bits == 0x7BFF);
    CHECK(to_half(65519.996f).bits == 0x7BFF);
    CHECK(to_half(65520.0f).bits == 0x7C00);
    CHECK(to_half(-1e30f).bits == 0xFC00);
    CHECK(to_half(0x1p-24f).bits == 0x0001);
    CHECK(to_half(0x1p-25f).bits == 0x0000);  // a tie, to even
    CHECK(to_half(std::nextafter(0x1p-25f, 1.0f)).bits == 0x0001);
    CHECK(to_half(-0.0f).bits == 0x8000);
    CHECK(to_half(1e-40f).bits == 0x0000);
    CHECK(std::isnan(to_float(to_half(std::nanf("")))));
    CHECK(std::isnan(to_float(to_bfloat16(std::nanf("")))));
  }

#ifdef __FLT16_MANT_DIG__
  TEST_CASE("half agrees with the compiler's _Float16") {
    Rng rng(1, RngPurpose::kTest);
    int failures = 0;
    for (int i = 0; i < 1000000; ++i) {
      // Exponents from below half's subnormals to above its largest value.
      const std::uint32_t exponent = 95 + rng.below(55);
      const float v = std::bit_cast<float>((rng.next() & 0x807FFFFFu) |
                                           exponent << 23);
      const auto expected =
          std::bit_cast<std::uint16_t>(static_cast<_Float16>(v));
      if (to_half(v).bits != expected) ++failures;
    }
    CHECK(failures == 0);
  }
#endif
}

}  // namespace
}  // namespace music
