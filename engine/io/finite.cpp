#include "engine/io/finite.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/core/format.h"

namespace music {
namespace {

// The first element whose exponent has all bits set: an infinity or a NaN.
template <typename Bits>
std::optional<std::size_t> first_not_finite(std::span<const std::byte> data,
                                            Bits exponent) {
  const std::size_t n = data.size() / sizeof(Bits);
  constexpr std::size_t kPiece = 4096;
  const auto bad = [&](std::size_t i) {
    Bits b;
    std::memcpy(&b, data.data() + i * sizeof(Bits), sizeof b);
    return (b & exponent) == exponent;
  };
  for (std::size_t begin = 0; begin < n; begin += kPiece) {
    const std::size_t end = std::min(n, begin + kPiece);
    unsigned any = 0;  // without a branch, for the vector unit
    for (std::size_t i = begin; i < end; ++i) any |= bad(i);
    if (!any) continue;
    for (std::size_t i = begin; i < end; ++i)
      if (bad(i)) return i;
  }
  return std::nullopt;
}

std::optional<std::size_t> first_not_finite(const TensorEntry& t) {
  switch (t.dtype) {
    case DType::kF64:
      return first_not_finite<std::uint64_t>(t.data, 0x7FF0000000000000u);
    case DType::kF32: return first_not_finite<std::uint32_t>(t.data, 0x7F800000u);
    case DType::kF16: return first_not_finite<std::uint16_t>(t.data, 0x7C00u);
    case DType::kBF16: return first_not_finite<std::uint16_t>(t.data, 0x7F80u);
    default: return std::nullopt;
  }
}

}  // namespace

std::optional<std::string> not_finite(std::span<const TensorEntry> tensors) {
  for (const TensorEntry& t : tensors)
    if (const auto i = first_not_finite(t))
      return fmt::format("{} holds a value that is not finite, at element {}",
                         t.name, *i);
  return std::nullopt;
}

}  // namespace music
