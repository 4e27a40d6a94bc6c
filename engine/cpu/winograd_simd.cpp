#include <algorithm>
#include <cstddef>

#include "engine/cpu/winograd_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/cpu/winograd_simd.cpp"
#include <hwy/foreach_target.h>  // before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace music::cpu::winograd {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using Real = hn::CappedTag<float, 16>;
using V = hn::Vec<Real>;
using Index = std::int64_t;

constexpr Index kLanes = static_cast<Index>(hn::MaxLanes(Real()));
constexpr Index kPanel = 2 * kLanes;  // panel_columns()

HWY_INLINE V constant(double x) { return hn::Set(Real(), static_cast<float>(x)); }

// The polynomial's roots: 0, +-kA, +-kB and infinity. Of the pairs whose powers
// floats hold exactly these lose the fewest digits.
constexpr double kA = 0.625, kB = 1.5;
constexpr double kAA = kA * kA, kBB = kB * kB;

// B^T of six values, in place.
HWY_INLINE void input_line(V& d0, V& d1, V& d2, V& d3, V& d4, V& d5) {
  const V product = constant(kAA * kBB), sum = constant(-(kAA + kBB));
  const V aa = constant(-kAA), bb = constant(-kBB);
  const V even_a = hn::MulAdd(bb, d2, d4), even_b = hn::MulAdd(aa, d2, d4);
  const V odd_a = hn::Mul(constant(kA), hn::MulAdd(bb, d1, d3));
  const V odd_b = hn::Mul(constant(kB), hn::MulAdd(aa, d1, d3));
  d0 = hn::MulAdd(product, d0, hn::MulAdd(sum, d2, d4));
  d5 = hn::MulAdd(product, d1, hn::MulAdd(sum, d3, d5));
  d1 = hn::Add(even_a, odd_a);
  d2 = hn::Sub(even_a, odd_a);
  d3 = hn::Add(even_b, odd_b);
  d4 = hn::Sub(even_b, odd_b);
}

// A^T of six values.
HWY_INLINE void output_line(V m0, V m1, V m2, V m3, V m4, V m5, V& y0, V& y1,
                            V& y2, V& y3) {
  const V sa = hn::Add(m1, m2), da = hn::Sub(m1, m2);
  const V sb = hn::Add(m3, m4), db = hn::Sub(m3, m4);
  y0 = hn::Add(m0, hn::Add(sa, sb));
  y1 = hn::MulAdd(constant(kA), da, hn::Mul(constant(kB), db));
  y2 = hn::MulAdd(constant(kAA), sa, hn::Mul(constant(kBB), sb));
  y3 = hn::MulAdd(constant(kAA * kA), da,
                  hn::MulAdd(constant(kBB * kB), db, m5));
}

// A of four values.
HWY_INLINE void gradient_line(V y0, V y1, V y2, V y3, V* z) {
  const V even_a = hn::MulAdd(constant(kAA), y2, y0);
  const V odd_a = hn::Mul(constant(kA), hn::MulAdd(constant(kAA), y3, y1));
  const V even_b = hn::MulAdd(constant(kBB), y2, y0);
  const V odd_b = hn::Mul(constant(kB), hn::MulAdd(constant(kBB), y3, y1));
  z[0] = y0;
  z[1] = hn::Add(even_a, odd_a);
  z[2] = hn::Sub(even_a, odd_a);
  z[3] = hn::Add(even_b, odd_b);
  z[4] = hn::Sub(even_b, odd_b);
  z[5] = y3;
}

constexpr double kN0 = 1 / (kAA * kBB), kNa = 1 / (2 * kAA * (kAA - kBB)),
                 kNb = 1 / (2 * kBB * (kBB - kAA));

// G of three values.
HWY_INLINE void weight_line(V g0, V g1, V g2, V* u) {
  const V na = constant(kNa), nb = constant(kNb);
  const V even_a = hn::Mul(na, hn::MulAdd(constant(kAA), g2, g0));
  const V odd_a = hn::Mul(constant(kNa * kA), g1);
  const V even_b = hn::Mul(nb, hn::MulAdd(constant(kBB), g2, g0));
  const V odd_b = hn::Mul(constant(kNb * kB), g1);
  u[0] = hn::Mul(constant(kN0), g0);
  u[1] = hn::Add(even_a, odd_a);
  u[2] = hn::Sub(even_a, odd_a);
  u[3] = hn::Add(even_b, odd_b);
  u[4] = hn::Sub(even_b, odd_b);
  u[5] = g2;
}

// G^T of six values.
HWY_INLINE void weight_gradient_line(V u0, V u1, V u2, V u3, V u4, V u5, V& g0,
                                     V& g1, V& g2) {
  const V na = constant(kNa), nb = constant(kNb);
  const V sa = hn::Mul(na, hn::Add(u1, u2)), da = hn::Mul(na, hn::Sub(u1, u2));
  const V sb = hn::Mul(nb, hn::Add(u3, u4)), db = hn::Mul(nb, hn::Sub(u3, u4));
  g0 = hn::MulAdd(constant(kN0), u0, hn::Add(sa, sb));
  g1 = hn::MulAdd(constant(kA), da, hn::Mul(constant(kB), db));
  g2 = hn::MulAdd(constant(kAA), sa, hn::MulAdd(constant(kBB), sb, u5));
}

// Where a tile lies and how much of it is inside.
struct Tile {
  Index image, y, x;  // of its first output
  Tile(const Map& map, Index t) {
    x = t % map.tiles_w * kOut;
    const Index rest = t / map.tiles_w;
    y = rest % map.tiles_h * kOut;
    image = rest / map.tiles_h;
  }
};

// Vectors of weights are over output channels, whose elements lie 9 c floats
// apart: powers of two, so that reading or writing them one by one would keep
// missing the same cache sets. They pass through a block of lanes x lanes.
struct Turned {
  static constexpr Index kRow = kLanes + 1;
  alignas(64) float at[9][kLanes * kRow];

  // [tap][output channel][input channel]
  void read(const float* w, Index c) {
    for (Index j = 0; j < kLanes; ++j)
      for (int tap = 0; tap < 9; ++tap)
        hn::StoreU(hn::LoadU(Real(), w + (j * 9 + tap) * c), Real(),
                   at[tap] + j * kRow);
  }
  HWY_INLINE V outputs(int tap, Index i) const {
    const hn::RebindToSigned<Real> whole;
    return hn::GatherIndex(
        Real(), at[tap] + i,
        hn::Mul(hn::Iota(whole, 0), hn::Set(whole, static_cast<int>(kRow))));
  }
  // [tap][input channel][output channel]
  void write(float* w, Index c) const {
    for (Index j = 0; j < kLanes; ++j)
      for (int tap = 0; tap < 9; ++tap)
        hn::StoreU(outputs(tap, j), Real(), w + (j * 9 + tap) * c);
  }
};

// U of one input channel and a vector of outputs from nine taps.
template <typename Taps>
HWY_INLINE void transform_weights(const Taps& taps, Part part, float* u,
                                  Index step) {
  V half[3][kIn];
#pragma GCC unroll 3
  for (int r = 0; r < 3; ++r)
    weight_line(taps(r, 0), taps(r, 1), taps(r, 2), half[r]);
  for (int q = part.first; q < part.last; ++q) {
    V all[kIn];
    weight_line(half[0][q], half[1][q], half[2][q], all);
#pragma GCC unroll 6
    for (int p = 0; p < kIn; ++p)
      hn::StoreU(all[p], Real(), u + (p * kIn + q) * step);
  }
}

void pack(const float* w, Index k, Index c, bool transposed, Index first,
          Index columns, Index begin, Index end, Part part, float* u) {
  const Index step = (transposed ? k : c) * columns;
  Turned turned;
  for (Index j = 0; j < columns; j += kLanes)
    for (Index in = begin; in < end; ++in) {
      float* to = u + in * columns + j;
      if (transposed) {
        transform_weights(
            [&](int r, int s) HWY_ATTR {
              return hn::LoadU(
                  Real(), w + ((in * 3 + 2 - r) * 3 + 2 - s) * c + first + j);
            },
            part, to, step);
        continue;
      }
      const Index i = (in - begin) % kLanes;
      if (i == 0) turned.read(w + (first + j) * 9 * c + in, c);
      transform_weights(
          [&](int r, int s) HWY_ATTR { return turned.outputs(r * 3 + s, i); },
          part, to, step);
    }
}

void input(const Map& map, Index pad, const float* data, Index first,
           Index last, float* out, Index row_stride, Index step) {
  const Real real;
  const Index row = map.w * map.c;
  alignas(64) static const float zeros[16] = {};
  for (Index t = first; t < last; ++t) {
    const Tile tile(map, t);
    const Index y0 = tile.y - pad, x0 = tile.x - pad;
    const float* corner =
        data + tile.image * map.h * row + y0 * row + x0 * map.c;
    const bool inside =
        y0 >= 0 && x0 >= 0 && y0 + kIn <= map.h && x0 + kIn <= map.w;
    float* to = out + (t - first) * row_stride;
    for (Index c = 0; c < map.c; c += kLanes) {
      V d[kIn][kIn];
      if (inside) {
#pragma GCC unroll 6
        for (int i = 0; i < kIn; ++i)
#pragma GCC unroll 6
          for (int j = 0; j < kIn; ++j)
            d[i][j] = hn::LoadU(real, corner + i * row + j * map.c + c);
      } else {
#pragma GCC unroll 6
        for (int i = 0; i < kIn; ++i)
#pragma GCC unroll 6
          for (int j = 0; j < kIn; ++j) {
            const bool in = y0 + i >= 0 && y0 + i < map.h && x0 + j >= 0 &&
                            x0 + j < map.w;
            d[i][j] = hn::LoadU(
                real, in ? corner + i * row + j * map.c + c : zeros);
          }
      }
#pragma GCC unroll 6
      for (int j = 0; j < kIn; ++j)
        input_line(d[0][j], d[1][j], d[2][j], d[3][j], d[4][j], d[5][j]);
#pragma GCC unroll 6
      for (int i = 0; i < kIn; ++i) {
        input_line(d[i][0], d[i][1], d[i][2], d[i][3], d[i][4], d[i][5]);
#pragma GCC unroll 6
        for (int j = 0; j < kIn; ++j)
          hn::StoreU(d[i][j], real, to + (i * kIn + j) * step + c);
      }
    }
  }
}

void output(const Map& map, const float* m, Index step, Index first, Index last,
            const Epilogue& after, float* data) {
  const Real real;
  const Index row = map.w * map.c;
  const V zero = hn::Zero(real);
  for (Index t = first; t < last; ++t) {
    const Tile tile(map, t);
    const Index height = std::min<Index>(kOut, map.h - tile.y),
                width = std::min<Index>(kOut, map.w - tile.x);
    float* corner =
        data + tile.image * map.h * row + tile.y * row + tile.x * map.c;
    const float* from = m + (t - first) * map.c;
    for (Index k = 0; k < map.c; k += kLanes) {
      V half[kOut][kIn];
#pragma GCC unroll 6
      for (int j = 0; j < kIn; ++j) {
        const float* at = from + j * step + k;
        const Index down = kIn * step;
        output_line(hn::LoadU(real, at), hn::LoadU(real, at + down),
                    hn::LoadU(real, at + 2 * down),
                    hn::LoadU(real, at + 3 * down),
                    hn::LoadU(real, at + 4 * down),
                    hn::LoadU(real, at + 5 * down), half[0][j], half[1][j],
                    half[2][j], half[3][j]);
      }
      const V bias =
          after.bias ? hn::LoadU(real, after.bias + k) : hn::Zero(real);
#pragma GCC unroll 4
      for (int i = 0; i < kOut; ++i) {
        if (i >= height) break;
        V y[kOut];
        output_line(half[i][0], half[i][1], half[i][2], half[i][3], half[i][4],
                    half[i][5], y[0], y[1], y[2], y[3]);
#pragma GCC unroll 4
        for (int j = 0; j < kOut; ++j) {
          if (j >= width) break;
          float* to = corner + i * row + j * map.c + k;
          V value = hn::Add(y[j], bias);
          if (after.add) value = hn::Add(value, hn::LoadU(real, to));
          if (after.relu) value = hn::Max(value, zero);
          hn::StoreU(value, real, to);
        }
      }
    }
  }
}

void gradient(const Map& map, const float* data, Index first, Index last,
              float* out, Index at, Index block, Index step) {
  const Real real;
  const Index row = map.w * map.c;
  for (Index t = first; t < last; ++t) {
    const Tile tile(map, t);
    const Index height = map.h - tile.y, width = map.w - tile.x;
    const float* corner =
        data + tile.image * map.h * row + tile.y * row + tile.x * map.c;
    for (Index k = 0; k < map.c; k += kLanes) {
      const Index panel_at = k / kPanel * kPanel;
      float* to = out + panel_at * block +
                  (at + t - first) * std::min(kPanel, map.c - panel_at) + k -
                  panel_at;
      V half[kOut][kIn];
#pragma GCC unroll 4
      for (int i = 0; i < kOut; ++i) {
        V y[kOut];
#pragma GCC unroll 4
        for (int j = 0; j < kOut; ++j)
          y[j] = i < height && j < width
                     ? hn::LoadU(real, corner + i * row + j * map.c + k)
                     : hn::Zero(real);
        gradient_line(y[0], y[1], y[2], y[3], half[i]);
      }
#pragma GCC unroll 6
      for (int j = 0; j < kIn; ++j) {
        V z[kIn];
        gradient_line(half[0][j], half[1][j], half[2][j], half[3][j], z);
#pragma GCC unroll 6
        for (int i = 0; i < kIn; ++i)
          hn::StoreU(z[i], real, to + (i * kIn + j) * step);
      }
    }
  }
}

void back_to_weights(const float* du, Index c, Index first, Index columns,
                     Index begin, Index end, float* dw) {
  const Real real;
  const Index step = (end - begin) * columns;
  Turned turned;
  for (Index k = 0; k < columns; k += kLanes)
    for (Index in = begin; in < end; ++in) {
      const Index i = (in - begin) % kLanes;
      V half[3][kIn];
#pragma GCC unroll 6
      for (int q = 0; q < kIn; ++q) {
        const float* at = du + q * step + (in - begin) * columns + k;
        const Index down = kIn * step;
        weight_gradient_line(
            hn::LoadU(real, at), hn::LoadU(real, at + down),
            hn::LoadU(real, at + 2 * down), hn::LoadU(real, at + 3 * down),
            hn::LoadU(real, at + 4 * down), hn::LoadU(real, at + 5 * down),
            half[0][q], half[1][q], half[2][q]);
      }
#pragma GCC unroll 3
      for (int r = 0; r < 3; ++r) {
        V g[3];
        weight_gradient_line(half[r][0], half[r][1], half[r][2], half[r][3],
                             half[r][4], half[r][5], g[0], g[1], g[2]);
#pragma GCC unroll 3
        for (int s = 0; s < 3; ++s)
          hn::StoreU(g[s], real, turned.at[r * 3 + s] + i * Turned::kRow);
      }
      if (i + 1 == kLanes)
        turned.write(dw + (first + k) * 9 * c + in - i, c);
    }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace music::cpu::winograd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace music::cpu::winograd {

HWY_EXPORT(pack);
HWY_EXPORT(input);
HWY_EXPORT(output);
HWY_EXPORT(gradient);
HWY_EXPORT(back_to_weights);

void pack_weights(const float* w, std::int64_t k, std::int64_t c,
                  bool transposed, std::int64_t first, std::int64_t columns,
                  std::int64_t begin, std::int64_t end, Part part, float* u) {
  HWY_DYNAMIC_DISPATCH(pack)
  (w, k, c, transposed, first, columns, begin, end, part, u);
}

void transform_input(const Map& x, std::int64_t pad, const float* data,
                     std::int64_t first, std::int64_t last, float* v,
                     std::int64_t row, std::int64_t step) {
  HWY_DYNAMIC_DISPATCH(input)(x, pad, data, first, last, v, row, step);
}

void transform_output(const Map& y, const float* m, std::int64_t step,
                      std::int64_t first, std::int64_t last,
                      const Epilogue& after, float* data) {
  HWY_DYNAMIC_DISPATCH(output)(y, m, step, first, last, after, data);
}

void transform_gradient(const Map& y, const float* data, std::int64_t first,
                        std::int64_t last, float* z, std::int64_t at,
                        std::int64_t block, std::int64_t step) {
  HWY_DYNAMIC_DISPATCH(gradient)(y, data, first, last, z, at, block, step);
}

void weight_gradient(const float* du, std::int64_t c, std::int64_t first,
                     std::int64_t columns, std::int64_t begin,
                     std::int64_t end, float* dw) {
  HWY_DYNAMIC_DISPATCH(back_to_weights)(du, c, first, columns, begin, end, dw);
}

}  // namespace music::cpu::winograd
#endif  // HWY_ONCE
