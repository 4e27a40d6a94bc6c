#include "data/fast/colour.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "data/fast/colour_simd.cpp"
#include <hwy/foreach_target.h>  // before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace music::data::fast {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Values are 16 bits wide, pixels eight.
using Word = hn::CappedTag<std::uint16_t, Planes::kTile>;
using Short = hn::RebindToSigned<Word>;
using Byte = hn::Rebind<std::uint8_t, Word>;
using V = hn::Vec<Word>;
using S = hn::Vec<Short>;

struct Pixels {
  V r, g, b;
};

HWY_ATTR V word(int value) {
  return hn::Set(Word(), static_cast<std::uint16_t>(value));
}
HWY_ATTR S as_signed(V v) { return hn::BitCast(Short(), v); }
HWY_ATTR V as_word(S v) { return hn::BitCast(Word(), v); }
HWY_ATTR S zero() { return hn::Zero(Short()); }
HWY_ATTR V clip(S v) {
  return as_word(hn::Min(hn::Max(v, zero()), hn::Set(Short(), 255)));
}

// 0.299 R + 0.587 G + 0.114 B, rounded. The sum of three floors is low by 1.5
// on average.
HWY_ATTR V luma(const Pixels& p) {
  const auto share = [](V v, int weight) HWY_ATTR {
    return hn::MulHigh(hn::ShiftLeft<8>(v), word(weight));
  };
  const V sum =
      hn::Add(hn::Add(share(p.r, 19595), share(p.g, 38470)), share(p.b, 7471));
  return hn::ShiftRight<8>(hn::Add(sum, word(128 + 1)));
}

// grey + factor * (v - grey), truncated, clipped.
HWY_ATTR V blend(V grey, V v, S factor) {
  const S difference = as_signed(hn::Sub(v, grey));
  const S scaled = hn::MulHigh(hn::ShiftLeft<7>(difference), factor);
  return clip(hn::Add(as_signed(grey), hn::ShiftRight<5>(scaled)));
}

struct Brightness {
  V factor;
  HWY_ATTR void operator()(Pixels& p) const {
    const auto scale = [this](V v) HWY_ATTR {
      return hn::Min(
          hn::ShiftRight<6>(hn::MulHigh(hn::ShiftLeft<8>(v), factor)),
          word(255));
    };
    p = {scale(p.r), scale(p.g), scale(p.b)};
  }
};

struct Contrast {
  V grey;
  S factor;
  HWY_ATTR void operator()(Pixels& p) const {
    p = {blend(grey, p.r, factor), blend(grey, p.g, factor),
         blend(grey, p.b, factor)};
  }
};

struct Saturation {
  S factor;
  HWY_ATTR void operator()(Pixels& p) const {
    const V grey = luma(p);
    p = {blend(grey, p.r, factor), blend(grey, p.g, factor),
         blend(grey, p.b, factor)};
  }
};

struct Grayscale {
  HWY_ATTR void operator()(Pixels& p) const { p.r = p.g = p.b = luma(p); }
};

struct Solarize {
  HWY_ATTR void operator()(Pixels& p) const {
    const auto fold = [](V v) HWY_ATTR {
      return hn::Min(v, hn::Xor(v, word(255)));
    };
    p = {fold(p.r), fold(p.g), fold(p.b)};
  }
};

// Pillow's 8-bit HSV and back.
struct Hue {
  using Half = hn::Half<Short>;
  using Int = hn::Rebind<std::int32_t, Half>;
  using Float = hn::RebindToFloat<Int>;

  V shift;

  // trunc(255 * range / most), in single precision, to the bit: 255 q as
  // 256 q - q in integers.
  HWY_ATTR static hn::Vec<Half> saturation(hn::Vec<Float> range,
                                           hn::Vec<Float> most) {
    const Int d;
    const auto q = hn::ConvertTo(
        d, hn::Mul(hn::Div(range, most), hn::Set(Float(), 1 << 30)));
    const auto less =
        hn::ShiftRight<8>(hn::Add(q, hn::Set(d, 255)));
    return hn::DemoteTo(Half(), hn::ShiftRight<22>(hn::Sub(q, less)));
  }

  // trunc(42.5 (base + difference / range)), six more below zero.
  HWY_ATTR static hn::Vec<Half> hue(hn::Vec<Float> base,
                                    hn::Vec<Float> difference,
                                    hn::Vec<Float> range) {
    const Float d;
    const auto sixths = hn::Add(base, hn::Div(difference, range));
    const auto wrapped =
        hn::Add(sixths, hn::IfThenElseZero(hn::Lt(sixths, hn::Zero(d)),
                                           hn::Set(d, 6.0f)));
    return hn::DemoteTo(
        Half(), hn::ConvertTo(Int(), hn::Mul(wrapped, hn::Set(d, 42.5f))));
  }

  HWY_ATTR void operator()(Pixels& p) const {
    const Short d;
    const S r = as_signed(p.r), g = as_signed(p.g), b = as_signed(p.b);
    const S most = hn::Max(r, hn::Max(g, b));
    const S range = hn::Sub(most, hn::Min(r, hn::Min(g, b)));
    const auto red = hn::Eq(r, most), green = hn::Eq(g, most);
    const S difference =
        hn::IfThenElse(red, hn::Sub(g, b),
                       hn::IfThenElse(green, hn::Sub(b, r), hn::Sub(r, g)));
    const S base = hn::IfThenElse(
        red, zero(),
        hn::IfThenElse(green, hn::Set(d, 2), hn::Set(d, 4)));
    const S one = hn::Set(d, 1);
    const S divisor = hn::Max(range, one), largest = hn::Max(most, one);

    const auto lower = [](S v) HWY_ATTR {
      return hn::ConvertTo(Float(),
                           hn::PromoteTo(Int(), hn::LowerHalf(Half(), v)));
    };
    const auto upper = [](S v) HWY_ATTR {
      return hn::ConvertTo(Float(),
                           hn::PromoteTo(Int(), hn::UpperHalf(Half(), v)));
    };
    const S s = hn::Combine(d, saturation(upper(range), upper(largest)),
                            saturation(lower(range), lower(largest)));
    const S h =
        hn::Combine(d, hue(upper(base), upper(difference), upper(divisor)),
                    hue(lower(base), lower(difference), lower(divisor)));

    // Six times the turned hue; a turn is 1530.
    const V turned = hn::And(hn::Add(as_word(h), shift), word(255));
    const V six = hn::Add(hn::ShiftLeft<2>(turned), hn::ShiftLeft<1>(turned));
    const V value = as_word(most);
    const auto channel = [&](int from) HWY_ATTR {
      V x = hn::Add(six, word(from * 255));
      x = hn::Min(x, hn::Sub(x, word(1530)));  // modulo; wraps below
      x = hn::Min(x, hn::Sub(x, word(1530)));
      // How much of the saturation: 0 up to 255 and back.
      const S part = hn::Min(
          hn::Max(hn::Min(as_signed(x), hn::Sub(hn::Set(d, 1020), as_signed(x))),
                  zero()),
          hn::Set(d, 255));
      // value * s * part / 255^2 with 7 fraction bits; the two floors lose
      // about 3/4 of one.
      const V product = hn::Mul(as_word(s), as_word(part));
      const V loss = hn::MulHigh(
          hn::MulHigh(hn::ShiftLeft<8>(value), product), word(33026));
      return hn::ShiftRight<7>(
          hn::Sub(hn::Add(hn::ShiftLeft<7>(value), word(63)), loss));
    };
    p = {channel(5), channel(3), channel(1)};
  }
};

// Some rows of the planes; padding too.
struct Strip {
  std::uint8_t* r;
  std::uint8_t* g;
  std::uint8_t* b;
  std::size_t n;
};

HWY_ATTR Pixels load(const Strip& s, std::size_t i) {
  const auto get = [i](const std::uint8_t* p) HWY_ATTR {
    return hn::PromoteTo(Word(), hn::LoadU(Byte(), p + i));
  };
  return {get(s.r), get(s.g), get(s.b)};
}

template <typename Op>
HWY_ATTR void for_pixels(const Strip& s, const Op& op) {
  for (std::size_t i = 0; i < s.n; i += hn::Lanes(Word())) {
    Pixels p = load(s, i);
    op(p);
    const auto put = [i](V v, std::uint8_t* to) HWY_ATTR {
      hn::StoreU(hn::DemoteTo(Byte(), as_signed(v)), Byte(), to + i);
    };
    put(p.r, s.r);
    put(p.g, s.g);
    put(p.b, s.b);
  }
}

HWY_ATTR void apply_step(const ColourRun::Step& step, const Strip& s) {
  const V factor = word(step.factor);
  const S signed_factor = as_signed(factor);
  switch (step.kind) {
    case ColourStep::kBrightness: return for_pixels(s, Brightness{factor});
    case ColourStep::kContrast:
      return for_pixels(s, Contrast{word(step.grey), signed_factor});
    case ColourStep::kSaturation:
      return for_pixels(s, Saturation{signed_factor});
    case ColourStep::kHue: return for_pixels(s, Hue{word(step.hue)});
    case ColourStep::kGrayscale: return for_pixels(s, Grayscale{});
    case ColourStep::kSolarize: return for_pixels(s, Solarize{});
  }
}

// Of the first n pixels.
HWY_ATTR std::uint64_t sum_luma(const Strip& s, std::size_t n) {
  const hn::Repartition<std::uint64_t, Byte> wide;
  const std::size_t lanes = hn::Lanes(Byte());
  auto sum = hn::Zero(wide);
  for (std::size_t i = 0; i < n; i += lanes) {
    auto grey = hn::DemoteTo(Byte(), as_signed(luma(load(s, i))));
    // FirstN takes no number that is negative in 8 bits.
    grey = hn::IfThenElseZero(hn::FirstN(Byte(), std::min(n - i, lanes)), grey);
    sum = hn::Add(sum, hn::SumsOf8(grey));
  }
  return hn::GetLane(hn::SumOfLanes(wide, sum));
}

}  // namespace

HWY_ATTR std::uint64_t apply_run(const ColourRun& run, bool sum,
                                 Planes& planes) {
  constexpr std::size_t kRows = 4;
  const auto size = static_cast<std::size_t>(planes.size());
  std::uint64_t total = 0;
  for (std::size_t y = 0; y < size; y += kRows) {
    const std::size_t at = planes.stride() * y;
    const std::size_t rows = std::min(kRows, size - y);
    const Strip strip{planes.plane(0) + at, planes.plane(1) + at,
                      planes.plane(2) + at, planes.stride() * rows};
    for (std::size_t i = 0; i < run.count; ++i)
      apply_step(run.steps[i], strip);
    if (!sum) continue;
    for (std::size_t r = 0; r < rows; ++r) {
      const std::size_t row = planes.stride() * r;
      total += sum_luma({strip.r + row, strip.g + row, strip.b + row, size},
                        size);
    }
  }
  return total;
}

}  // namespace HWY_NAMESPACE
}  // namespace music::data::fast
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace music::data::fast {

HWY_EXPORT(apply_run);

std::uint64_t apply_run(const ColourRun& run, bool sum, Planes& planes) {
  return HWY_DYNAMIC_DISPATCH(apply_run)(run, sum, planes);
}

}  // namespace music::data::fast
#endif  // HWY_ONCE
