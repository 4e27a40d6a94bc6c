#include "data/fast/jpeg_kernels.h"

#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "data/fast/jpeg_simd.cpp"
#include <hwy/foreach_target.h>  // before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace music::data::fast {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kRow = 32;  // values of a row of a group

using Short = hn::CappedTag<std::int16_t, kRow>;
using Int = hn::RepartitionToWide<Short>;
using Byte = hn::Rebind<std::uint8_t, Short>;
using V16 = hn::Vec<Short>;
using V32 = hn::Vec<Int>;

struct Wide {  // a V16 in 32 bits, as InterleaveLower and Upper split it
  V32 low, high;
};

// a[i] * ca + b[i] * cb
struct Pairs {
  V16 low, high;
  HWY_ATTR Pairs(V16 a, V16 b)
      : low(hn::InterleaveLower(Short(), a, b)),
        high(hn::InterleaveUpper(Short(), a, b)) {}
  HWY_ATTR Wide times(std::int16_t ca, std::int16_t cb) const {
    const auto c = hn::BitCast(
        Short(),
        hn::Set(Int(), static_cast<std::int32_t>(
                           static_cast<std::uint32_t>(
                               static_cast<std::uint16_t>(cb)) << 16 |
                           static_cast<std::uint16_t>(ca))));
    return {dot(low, c), dot(high, c)};
  }
  HWY_ATTR static V32 dot(V16 a, V16 b) {
    V32 odd = hn::Zero(Int());
    const V32 even = hn::ReorderWidenMulAccumulate(Int(), a, b, odd, odd);
    return hn::RearrangeToOddPlusEven(even, odd);
  }
};

HWY_ATTR Wide add(Wide a, Wide b) {
  return {hn::Add(a.low, b.low), hn::Add(a.high, b.high)};
}
HWY_ATTR Wide sub(Wide a, Wide b) {
  return {hn::Sub(a.low, b.low), hn::Sub(a.high, b.high)};
}

// a * 2^13
HWY_ATTR Wide scale_up(V16 a) {
  const Short d;
  const auto zero = hn::Zero(d);
  const Int wide;
  return {hn::ShiftRight<3>(
              hn::BitCast(wide, hn::InterleaveLower(d, zero, a))),
          hn::ShiftRight<3>(
              hn::BitCast(wide, hn::InterleaveUpper(d, zero, a)))};
}

constexpr std::int16_t fix(double x) {
  return static_cast<std::int16_t>(x * 8192 + (x < 0 ? -0.5 : 0.5));
}
// Sums of rounded constants, as libjpeg adds rounded products.
constexpr std::int16_t fix(double x, double y) {
  return static_cast<std::int16_t>(fix(x) + fix(y));
}

// One pass over columns: eight rows in, eight rows out (jidctint.c).
template <int kShift>
HWY_ATTR void pass(V16 (&v)[8]) {
  const Pairs p26(v[2], v[6]);
  const Wide t2 = p26.times(fix(0.541196100), fix(0.541196100, -1.847759065));
  const Wide t3 = p26.times(fix(0.541196100, 0.765366865), fix(0.541196100));
  const Wide t0 = scale_up(hn::Add(v[0], v[4]));
  const Wide t1 = scale_up(hn::Sub(v[0], v[4]));
  const Wide even[4] = {add(t0, t3), add(t1, t2), sub(t1, t2), sub(t0, t3)};

  const Pairs p34(hn::Add(v[7], v[3]), hn::Add(v[5], v[1]));
  const Wide z3 = p34.times(fix(1.175875602, -1.961570560), fix(1.175875602));
  const Wide z4 = p34.times(fix(1.175875602), fix(1.175875602, -0.390180644));
  const Pairs p71(v[7], v[1]), p53(v[5], v[3]);
  const Wide odd[4] = {
      add(p71.times(fix(-0.899976223), fix(1.501321110, -0.899976223)), z4),
      add(p53.times(fix(-2.562915447), fix(3.072711026, -2.562915447)), z3),
      add(p53.times(fix(2.053119869, -2.562915447), fix(-2.562915447)), z4),
      add(p71.times(fix(0.298631336, -0.899976223), fix(-0.899976223)), z3)};

  const auto half = hn::Set(Int(), 1 << (kShift - 1));
  const auto narrow = [&](Wide w) HWY_ATTR {
    return hn::ReorderDemote2To(
        Short(), hn::ShiftRight<kShift>(hn::Add(w.low, half)),
        hn::ShiftRight<kShift>(hn::Add(w.high, half)));
  };
  for (int i = 0; i < 4; ++i) {
    v[i] = narrow(add(even[i], odd[i]));
    v[7 - i] = narrow(sub(even[i], odd[i]));
  }
}

// Each block of a group on its own.
HWY_ATTR void transpose(V16 (&v)[8]) {
  const Short d;
  V16 t[8];
  const auto shuffle = [&](const V16 (&from)[8], V16 (&to)[8]) HWY_ATTR {
    for (std::size_t r = 0; r < 4; ++r) {
      to[2 * r] = hn::InterleaveLower(d, from[r], from[r + 4]);
      to[2 * r + 1] = hn::InterleaveUpper(d, from[r], from[r + 4]);
    }
  };
  shuffle(v, t);
  shuffle(t, v);
  shuffle(v, t);
  for (std::size_t r = 0; r < 8; ++r) v[r] = t[r];
}

}  // namespace

HWY_ATTR void inverse_dct(const std::int16_t* coefficients,
                          const std::uint8_t* last, std::size_t groups,
                          const std::int16_t* quant,
                          std::uint8_t* HWY_RESTRICT out, std::size_t stride) {
  const Short d;
  const Byte bytes;
  const std::size_t lanes = hn::Lanes(d);
  const auto centre = hn::Set(d, 128);
  for (std::size_t g = 0; g < groups;
       ++g, coefficients += 8 * kRow, out += kRow) {
    for (std::size_t x = 0; x < kRow; x += lanes) {
      V16 v[8];
      for (std::size_t r = 0; r < 8; ++r)
        v[r] = hn::Mul(hn::Load(d, coefficients + r * kRow + x),
                       hn::LoadDup128(d, quant + 8 * r));
      pass<13 - 2>(v);
      transpose(v);
      pass<13 + 2 + 3>(v);
      transpose(v);
      for (std::size_t r = 0; r < 8; ++r)
        hn::StoreU(hn::DemoteTo(bytes, hn::SaturatedAdd(v[r], centre)), bytes,
                   out + r * stride + x);
    }
  }
  static_cast<void>(last);
}

namespace {

// out[2i] = (3 s[i] + s[i-1] + first) >> kShift,
// out[2i+1] = (3 s[i] + s[i+1] + second) >> kShift, ends of s repeated.
template <int kShift>
HWY_ATTR void spread(std::int16_t* s, std::size_t n, std::int16_t first,
                     std::int16_t second, std::uint8_t* HWY_RESTRICT out) {
  const Short d;
  const hn::Repartition<std::uint8_t, Short> bytes;
  const std::size_t lanes = hn::Lanes(d);
  s[-1] = s[0];
  s[n] = s[n - 1];
  const auto a = hn::Set(d, first), b = hn::Set(d, second);
  for (std::size_t i = 0; i < n; i += lanes) {
    const auto here = hn::LoadU(d, s + i);
    const auto three = hn::Add(hn::Add(here, here), here);
    const auto even = hn::ShiftRight<kShift>(
        hn::Add(hn::Add(three, hn::LoadU(d, s + i - 1)), a));
    const auto odd = hn::ShiftRight<kShift>(
        hn::Add(hn::Add(three, hn::LoadU(d, s + i + 1)), b));
    hn::StoreU(hn::BitCast(bytes, hn::Or(even, hn::ShiftLeft<8>(odd))), bytes,
               out + 2 * i);
  }
}

}  // namespace

HWY_ATTR void upsample_across(const std::uint8_t* in, std::size_t n,
                              std::uint8_t* out, std::int16_t* scratch) {
  const Short d;
  const Byte bytes;
  for (std::size_t i = 0; i < n; i += hn::Lanes(d))
    hn::StoreU(hn::PromoteTo(d, hn::LoadU(bytes, in + i)), d, scratch + 1 + i);
  spread<2>(scratch + 1, n, 1, 2, out);
}

HWY_ATTR void upsample_both(const std::uint8_t* near, const std::uint8_t* far,
                            std::size_t n, std::uint8_t* out,
                            std::int16_t* scratch) {
  const Short d;
  const Byte bytes;
  for (std::size_t i = 0; i < n; i += hn::Lanes(d)) {
    const auto a = hn::PromoteTo(d, hn::LoadU(bytes, near + i));
    const auto b = hn::PromoteTo(d, hn::LoadU(bytes, far + i));
    hn::StoreU(hn::Add(hn::Add(hn::Add(a, a), a), b), d, scratch + 1 + i);
  }
  spread<4>(scratch + 1, n, 8, 7, out);
}

namespace {

// colours(i) gives the three vectors at sample i.
template <typename Colours>
HWY_ATTR void store_rgb(std::size_t n, std::uint8_t* HWY_RESTRICT rgb,
                        Colours colours) {
  const Byte bytes;
  const std::size_t lanes = hn::Lanes(bytes);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::Vec<Byte> c[3];
    colours(i, c);
    hn::StoreInterleaved3(c[0], c[1], c[2], bytes, rgb + 3 * i);
  }
  if (i == n) return;
  hn::Vec<Byte> c[3];
  colours(i, c);
  HWY_ALIGN std::uint8_t rest[3 * kRow];
  hn::StoreInterleaved3(c[0], c[1], c[2], bytes, rest);
  std::memcpy(rgb + 3 * i, rest, 3 * (n - i));
}

}  // namespace

HWY_ATTR void ycbcr_to_rgb(const std::uint8_t* y, const std::uint8_t* cb,
                           const std::uint8_t* cr, std::size_t n,
                           std::uint8_t* rgb) {
  const Short d;
  const Byte bytes;
  const auto centre = hn::Set(d, 128), one = hn::Set(d, 1);
  // In 2^-16: 0.402 of Cr beyond 1, -0.228 of Cb beyond 2.
  const auto red = hn::Set(d, 26345), blue = hn::Set(d, -14942);
  const auto half = hn::Set(Int(), 1 << 15);
  const auto share = [&](V16 twice, V16 c) HWY_ATTR {
    return hn::ShiftRight<1>(hn::Add(hn::MulHigh(twice, c), one));
  };
  // -0.344 of Cb and 0.286 of Cr, beyond -1 of Cr.
  const auto green = hn::BitCast(
      d, hn::Set(Int(), static_cast<std::int32_t>(
                            18734u << 16 |
                            static_cast<std::uint16_t>(-22554))));
  store_rgb(n, rgb, [&](std::size_t i, hn::Vec<Byte>* out) HWY_ATTR {
    const auto load = [&](const std::uint8_t* p) HWY_ATTR {
      return hn::PromoteTo(d, hn::LoadU(bytes, p + i));
    };
    const auto light = load(y);
    const auto b = hn::Sub(load(cb), centre), r = hn::Sub(load(cr), centre);
    const auto b2 = hn::Add(b, b), r2 = hn::Add(r, r);
    const Pairs pairs(b, r);
    const auto mixed = hn::ReorderDemote2To(
        d, hn::ShiftRight<16>(hn::Add(Pairs::dot(pairs.low, green), half)),
        hn::ShiftRight<16>(hn::Add(Pairs::dot(pairs.high, green), half)));
    out[0] = hn::DemoteTo(bytes, hn::Add(light, hn::Add(r, share(r2, red))));
    out[1] = hn::DemoteTo(bytes, hn::Add(light, hn::Sub(mixed, r)));
    out[2] = hn::DemoteTo(bytes, hn::Add(light, hn::Add(b2, share(b2, blue))));
  });
}

HWY_ATTR void gray_to_rgb(const std::uint8_t* y, std::size_t n,
                          std::uint8_t* rgb) {
  store_rgb(n, rgb, [&](std::size_t i, hn::Vec<Byte>* out) HWY_ATTR {
    out[0] = out[1] = out[2] = hn::LoadU(Byte(), y + i);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace music::data::fast
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace music::data::fast {

HWY_EXPORT(inverse_dct);
HWY_EXPORT(upsample_across);
HWY_EXPORT(upsample_both);
HWY_EXPORT(ycbcr_to_rgb);
HWY_EXPORT(gray_to_rgb);

void inverse_dct(const std::int16_t* coefficients, const std::uint8_t* last,
                 std::size_t groups, const std::int16_t* quant,
                 std::uint8_t* out, std::size_t stride) {
  HWY_DYNAMIC_DISPATCH(inverse_dct)
  (coefficients, last, groups, quant, out, stride);
}
void upsample_across(const std::uint8_t* in, std::size_t n, std::uint8_t* out,
                     std::int16_t* scratch) {
  HWY_DYNAMIC_DISPATCH(upsample_across)(in, n, out, scratch);
}
void upsample_both(const std::uint8_t* near, const std::uint8_t* far,
                   std::size_t n, std::uint8_t* out, std::int16_t* scratch) {
  HWY_DYNAMIC_DISPATCH(upsample_both)(near, far, n, out, scratch);
}
void ycbcr_to_rgb(const std::uint8_t* y, const std::uint8_t* cb,
                  const std::uint8_t* cr, std::size_t n, std::uint8_t* rgb) {
  HWY_DYNAMIC_DISPATCH(ycbcr_to_rgb)(y, cb, cr, n, rgb);
}
void gray_to_rgb(const std::uint8_t* y, std::size_t n, std::uint8_t* rgb) {
  HWY_DYNAMIC_DISPATCH(gray_to_rgb)(y, n, rgb);
}

}  // namespace music::data::fast
#endif  // HWY_ONCE
