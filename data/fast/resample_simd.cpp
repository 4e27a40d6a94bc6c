// The kernel of data/fast/resample.cpp for every instruction set.
#include "data/fast/resample.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "data/fast/resample_simd.cpp"
#include <hwy/foreach_target.h>  // before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace music::data::fast {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

constexpr int kTile = Planes::kTile;
using Short = hn::CappedTag<std::int16_t, kTile>;
using Byte = hn::Rebind<std::uint8_t, Short>;
using Short8 = hn::CappedTag<std::int16_t, 8>;
using Byte16 = hn::CappedTag<std::uint8_t, 16>;

// out[i] = sum over k of weights[k] * in[k * stride + i], clipped to pixels,
// with 7 fraction bits; n rounded up to a multiple of 128 is read and written.
HWY_ATTR void blend_rows(const std::uint8_t* in, std::size_t stride,
                         const std::int16_t* weights, int taps, std::size_t n,
                         std::int16_t* HWY_RESTRICT out) {
  const Short d;
  const Byte bytes;
  const std::size_t lanes = hn::Lanes(d);
  const auto most = hn::Set(d, 255 << 6);
  const auto least = hn::Zero(d);
  for (std::size_t i = 0; i < n; i += 4 * lanes) {
    auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
    const std::uint8_t* p = in + i;
    for (int k = 0; k < taps; ++k, p += stride) {
      const auto w = hn::Set(d, weights[k]);
      // 7 bits of fraction; the product drops 15 of 14 + 7.
      const auto term = [&](std::size_t j) HWY_ATTR {
        const auto v = hn::PromoteTo(d, hn::LoadU(bytes, p + j * lanes));
        return hn::MulFixedPoint15(hn::ShiftLeft<7>(v), w);
      };
      s0 = hn::Add(s0, term(0));
      s1 = hn::Add(s1, term(1));
      s2 = hn::Add(s2, term(2));
      s3 = hn::Add(s3, term(3));
    }
    const auto put = [&](std::size_t j, hn::Vec<Short> sum) HWY_ATTR {
      sum = hn::Min(hn::Max(sum, least), most);
      hn::StoreU(hn::Add(sum, sum), d, out + i + j * lanes);
    };
    put(0, s0);
    put(1, s1);
    put(2, s2);
    put(3, s3);
  }
}

// Eight rows of n values, stride apart, to n columns of eight, kTile apart.
HWY_ATTR void turn_rows(const std::int16_t* in, std::size_t stride,
                        std::size_t n, std::int16_t* HWY_RESTRICT out) {
  const Short8 d;
  const hn::RepartitionToWide<Short8> wide;
  static_cast<void>(wide);
  for (std::size_t i = 0; i < n; i += 8) {
    hn::Vec<Short8> v[8], t[8];
    for (std::size_t r = 0; r < 8; ++r)
      v[r] = hn::LoadU(d, in + r * stride + i);
    // Three perfect shuffles of the eight registers transpose them.
    const auto shuffle = [&](const hn::Vec<Short8>* from,
                             hn::Vec<Short8>* to) HWY_ATTR {
      for (std::size_t r = 0; r < 4; ++r) {
        to[2 * r] = hn::InterleaveLower(d, from[r], from[r + 4]);
        to[2 * r + 1] = hn::InterleaveUpper(d, from[r], from[r + 4]);
      }
    };
    shuffle(v, t);
    shuffle(t, v);
    shuffle(v, t);
    for (std::size_t r = 0; r < 8; ++r)
      hn::StoreU(t[r], d, out + (i + r) * kTile);
  }
}

// One channel: kTile rows of every output column from the turned input, whose
// pixels are three columns each.
HWY_ATTR void blend_columns(const std::int16_t* in, const ShortAxis& axis,
                            int count, std::size_t plane,
                            std::uint8_t* HWY_RESTRICT out) {
  const Short d;
  const Byte bytes;
  const std::size_t lanes = hn::Lanes(d);
  const auto half = hn::Set(d, 1 << 5);
  for (int x = 0; x < count; ++x, out += kTile) {
    const std::int16_t* first =
        in + static_cast<std::size_t>(axis.first_input(x)) * 3 * kTile;
    const std::int16_t* weights = axis.weights(x);
    const int taps = axis.taps(x);
    for (std::size_t y = 0; y < kTile; y += lanes) {
      auto r = half, g = half, b = half;
      const std::int16_t* p = first + y;
      for (int k = 0; k < taps; ++k, p += 3 * kTile) {
        const auto w = hn::Set(d, weights[k]);
        r = hn::Add(r, hn::MulFixedPoint15(hn::Load(d, p), w));
        g = hn::Add(g, hn::MulFixedPoint15(hn::Load(d, p + kTile), w));
        b = hn::Add(b, hn::MulFixedPoint15(hn::Load(d, p + 2 * kTile), w));
      }
      const auto put = [&](hn::Vec<Short> sum, std::size_t c) HWY_ATTR {
        hn::StoreU(hn::DemoteTo(bytes, hn::ShiftRight<6>(sum)), bytes,
                   out + c * plane + y);
      };
      put(r, 0);
      put(g, 1);
      put(b, 2);
    }
  }
}

// count columns of kTile bytes to kTile rows, stride apart; count rounded up to
// a multiple of 16 is read and written.
HWY_ATTR void turn_columns(const std::uint8_t* in, int count,
                           std::uint8_t* HWY_RESTRICT out, std::size_t stride) {
  const Byte16 d;
  for (std::size_t x = 0; x < static_cast<std::size_t>(count); x += 16) {
    for (std::size_t y = 0; y < kTile; y += 16) {
      hn::Vec<Byte16> v[16], t[16];
      for (std::size_t r = 0; r < 16; ++r)
        v[r] = hn::LoadU(d, in + (x + r) * kTile + y);
      const auto shuffle = [&](const hn::Vec<Byte16>* from,
                               hn::Vec<Byte16>* to) HWY_ATTR {
        for (std::size_t r = 0; r < 8; ++r) {
          to[2 * r] = hn::InterleaveLower(d, from[r], from[r + 8]);
          to[2 * r + 1] = hn::InterleaveUpper(d, from[r], from[r + 8]);
        }
      };
      shuffle(v, t);
      shuffle(t, v);
      shuffle(v, t);
      shuffle(t, v);
      for (std::size_t r = 0; r < 16; ++r)
        hn::StoreU(v[r], d, out + (y + r) * stride + x);
    }
  }
}

}  // namespace

HWY_ATTR void resample(const std::uint8_t* in, std::size_t stride, int width,
                       const ShortAxis& horizontal, const ShortAxis& vertical,
                       const ResampleBuffers& buffers, Planes& out) {
  const std::size_t n = std::size_t{3} * width;
  const int size = out.size();
  for (int top = 0; top < size; top += kTile) {
    for (int group = 0; group < kTile; group += 8) {
      // Rows beyond the last repeat it.
      for (int r = 0; r < 8; ++r) {
        const int y = std::min(top + group + r, size - 1);
        blend_rows(in + stride * vertical.first_input(y), stride,
                   vertical.weights(y), vertical.taps(y), n,
                   buffers.rows + r * buffers.row_stride);
      }
      turn_rows(buffers.rows, buffers.row_stride, n, buffers.columns + group);
    }
    blend_columns(buffers.columns, horizontal, size, buffers.plane,
                  buffers.tile);
    for (int c = 0; c < Planes::kChannels; ++c)
      turn_columns(buffers.tile + c * buffers.plane, size,
                   out.plane(c) + out.stride() * top, out.stride());
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace music::data::fast
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace music::data::fast {

HWY_EXPORT(resample);

void resample(const std::uint8_t* in, std::size_t stride, int width,
              const ShortAxis& horizontal, const ShortAxis& vertical,
              const ResampleBuffers& buffers, Planes& out) {
  HWY_DYNAMIC_DISPATCH(resample)
  (in, stride, width, horizontal, vertical, buffers, out);
}

}  // namespace music::data::fast
#endif  // HWY_ONCE
