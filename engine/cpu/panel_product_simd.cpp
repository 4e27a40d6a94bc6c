#include "engine/cpu/panel_product.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/cpu/panel_product_simd.cpp"
#include <hwy/foreach_target.h>  // before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace music::cpu {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using Real = hn::CappedTag<float, 16>;
using V = hn::Vec<Real>;
using Index = std::int64_t;

constexpr Index kLanes = static_cast<Index>(hn::MaxLanes(Real()));
constexpr Index kPanel = 2 * kLanes;
// Rows of a product whose sums stay in registers beside two of b.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr int kRows = 12;
#else
constexpr int kRows = 6;
#endif

Index panel() { return kPanel; }

template <int kHeight, int kWidth>
HWY_INLINE void product(Index reduced, const float* a, Index a_row, Index a_red,
                        const float* b, Index b_red, float* c, Index c_row,
                        bool add) {
  const Real real;
  V sum[kHeight][kWidth];
#pragma GCC unroll 16
  for (int i = 0; i < kHeight; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < kWidth; ++j)
      sum[i][j] = add ? hn::LoadU(real, c + i * c_row + j * kLanes)
                      : hn::Zero(real);
  for (Index r = 0; r < reduced; ++r) {
    V right[kWidth];
#pragma GCC unroll 2
    for (int j = 0; j < kWidth; ++j)
      right[j] = hn::LoadU(real, b + j * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < kHeight; ++i) {
      const V left = hn::Set(real, a[i * a_row]);
#pragma GCC unroll 2
      for (int j = 0; j < kWidth; ++j)
        sum[i][j] = hn::MulAdd(left, right[j], sum[i][j]);
    }
    a += a_red;
    b += b_red;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kHeight; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < kWidth; ++j)
      hn::StoreU(sum[i][j], real, c + i * c_row + j * kLanes);
}

template <int kHeight>
HWY_INLINE void rows(Index columns, Index reduced, const float* a, Index a_row,
                     Index a_red, const float* b, Index b_red, float* c,
                     Index c_row, bool add) {
  if (columns == kPanel)
    product<kHeight, 2>(reduced, a, a_row, a_red, b, b_red, c, c_row, add);
  else
    product<kHeight, 1>(reduced, a, a_row, a_red, b, b_red, c, c_row, add);
}

// A rest of rows by halves: 8, 4, 2, 1.
template <int kHeight>
HWY_INLINE Index rest(Index i, Index n, Index columns, Index reduced,
                      const float* a, Index a_row, Index a_red, const float* b,
                      Index b_red, float* c, Index c_row, bool add) {
  if (n - i < kHeight) return i;
  rows<kHeight>(columns, reduced, a + i * a_row, a_row, a_red, b, b_red,
                c + i * c_row, c_row, add);
  return i + kHeight;
}

void multiply_rows(Index n, Index reduced, Index columns, const float* a,
                   Index a_row, Index a_red, const float* b, Index b_red,
                   float* c, Index c_row, bool add) {
  Index i = 0;
  for (; i + kRows <= n; i += kRows)
    rows<kRows>(columns, reduced, a + i * a_row, a_row, a_red, b, b_red,
                c + i * c_row, c_row, add);
  if (kRows > 8)
    i = rest<8>(i, n, columns, reduced, a, a_row, a_red, b, b_red, c, c_row,
                add);
  i = rest<4>(i, n, columns, reduced, a, a_row, a_red, b, b_red, c, c_row, add);
  i = rest<2>(i, n, columns, reduced, a, a_row, a_red, b, b_red, c, c_row, add);
  rest<1>(i, n, columns, reduced, a, a_row, a_red, b, b_red, c, c_row, add);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace music::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace music::cpu {

HWY_EXPORT(panel);
HWY_EXPORT(multiply_rows);

std::int64_t panel_columns() { return HWY_DYNAMIC_DISPATCH(panel)(); }

void multiply(std::int64_t rows, std::int64_t reduced, std::int64_t columns,
              const float* a, std::int64_t a_row, std::int64_t a_red,
              const float* b, std::int64_t b_red, float* c, std::int64_t c_row,
              bool add) {
  HWY_DYNAMIC_DISPATCH(multiply_rows)
  (rows, reduced, columns, a, a_row, a_red, b, b_red, c, c_row, add);
}

}  // namespace music::cpu
#endif  // HWY_ONCE
