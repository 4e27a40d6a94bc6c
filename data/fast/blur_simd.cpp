#include "data/fast/blur.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "data/fast/blur_simd.cpp"
#include <hwy/foreach_target.h>  // before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace music::data::fast {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Pixels have 6 fraction bits.
using Short = hn::CappedTag<std::int16_t, Planes::kTile>;
using Byte = hn::Rebind<std::uint8_t, Short>;
using V = hn::Vec<Short>;

// The weighted sum at i of what line(k) begins, k from -reach to reach. kReach:
// reach, or 0: any.
template <int kReach, typename Line>
HWY_ATTR V weighted_sum(const std::int16_t* weights, int reach, std::size_t i,
                        const Line& line) {
  const Short d;
  if (kReach > 0) reach = kReach;
  V sum = hn::MulFixedPoint15(hn::LoadU(d, line(0) + i),
                              hn::Set(d, weights[0]));
#pragma GCC unroll 6
  for (int k = 1; k <= reach; ++k) {
    const V pair =
        hn::Add(hn::LoadU(d, line(-k) + i), hn::LoadU(d, line(k) + i));
    sum = hn::Add(sum, hn::MulFixedPoint15(pair, hn::Set(d, weights[k])));
  }
  return sum;
}

template <int kReach>
HWY_ATTR void blur(const std::uint8_t* in, std::size_t stride, int size,
                   const std::int16_t* weights, int reach, std::int16_t* rows,
                   std::uint8_t* out) {
  const Short d;
  const Byte bytes;
  const std::size_t lanes = hn::Lanes(d);
  const auto n = static_cast<std::size_t>(size);
  const auto margin = static_cast<std::size_t>(reach);
  // The rows that are needed at a time, and one blurred along y, with margins.
  const int kept = std::min(2 * reach + 1, size);
  std::int16_t* const line =
      rows + stride * static_cast<std::size_t>(kept) + margin;
  const auto half = hn::Set(d, 1 << 5);
  const auto row = [&](int y) {
    return rows + stride * static_cast<std::size_t>(y % kept);
  };
  for (int y = 0, ready = 0; y < size; ++y, out += stride) {
    for (; ready <= std::min(y + reach, size - 1); ++ready, in += stride)
      for (std::size_t x = 0; x < n; x += lanes)
        hn::StoreU(hn::ShiftLeft<6>(
                       hn::PromoteTo(d, hn::LoadU(bytes, in + x))),
                   d, row(ready) + x);
    const std::int16_t* near[2 * 6 + 1];
    if (kReach > 0)
      for (int k = -kReach; k <= kReach; ++k)
        near[kReach + k] = row(std::clamp(y + k, 0, size - 1));
    const auto above = [&](int k) {
      return kReach > 0 ? near[kReach + k]
                        : row(std::clamp(y + k, 0, size - 1));
    };
    for (std::size_t x = 0; x < n; x += lanes)
      hn::StoreU(weighted_sum<kReach>(weights, reach, x, above), d, line + x);
    std::fill_n(line - margin, margin, line[0]);
    std::fill_n(line + n, margin, line[n - 1]);
    const auto beside = [&](int k) { return line + k; };
    for (std::size_t x = 0; x < n; x += lanes) {
      const V sum = weighted_sum<kReach>(weights, reach, x, beside);
      hn::StoreU(hn::DemoteTo(bytes, hn::ShiftRight<6>(hn::Add(sum, half))),
                 bytes, out + x);
    }
  }
}

}  // namespace

HWY_ATTR void blur_plane(const std::uint8_t* in, std::size_t stride, int size,
                         const std::int16_t* weights, int reach,
                         std::int16_t* rows, std::uint8_t* out) {
  switch (reach) {  // sigma below 1.41, below 2.45
    case 3: return blur<3>(in, stride, size, weights, reach, rows, out);
    case 6: return blur<6>(in, stride, size, weights, reach, rows, out);
    default: return blur<0>(in, stride, size, weights, reach, rows, out);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace music::data::fast
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace music::data::fast {

HWY_EXPORT(blur_plane);

void blur_plane(const std::uint8_t* in, std::size_t stride, int size,
                const std::int16_t* weights, int reach, std::int16_t* rows,
                std::uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(blur_plane)
  (in, stride, size, weights, reach, rows, out);
}

std::size_t blur_values(std::size_t stride, int size, int reach) {
  const auto kept = static_cast<std::size_t>(std::min(2 * reach + 1, size));
  const std::size_t margins = 2 * static_cast<std::size_t>(reach);
  return stride * (kept + 1) + margins + Planes::kTile;
}

}  // namespace music::data::fast
#endif  // HWY_ONCE
