#pragma once
// Cases of what only a GPU computes (tensors of 16 bits beside F32, a fourth
// channel of zeros) and of the ends of warps, blocks and 16-byte accesses.

#include "tests/support/cases_dense.h"
#include "tests/support/cases_elementwise.h"
#include "tests/support/cases_objectives.h"
#include "tests/support/cases_rows.h"
#include "tests/support/cases_spatial.h"

namespace music::test {

// x has a fourth channel that the weight has not: whatever it holds counts as
// zero, and its gradient is zero.
inline void add_padded_conv2d_cases(std::vector<OpCase>& cases) {
  struct Row { std::int64_t n, h, w, k, r; int stride, pad; };
  for (const Row& d : std::initializer_list<Row>{
           {2, 17, 15, 64, 7, 2, 3}, {1, 6, 5, 16, 3, 1, 1},
           {1, 5, 5, 33, 1, 1, 0}}) {
    OpCase c;
    c.name = fmt::format("conv2d {}x{}x{}x4 to {}, {}x{}x3 stride {} pad {}",
                         d.n, d.h, d.w, d.k, d.r, d.r, d.stride, d.pad);
    c.tensors = {{uniform("x", {d.n, d.h, d.w, 4})},
                 {uniform("w", {d.k, d.r, d.r, 3})}};
    c.record = [d](Graph& g, Values v) {
      return conv2d(g, v[0], v[1], {d.stride, d.pad});
    };
    c.reference = [d](CaseResult& r, const Array& dy) {
      Array w({d.k, d.r, d.r, 4});
      const auto& narrow = r.tensors[1].data;
      for (std::size_t i = 0; i < narrow.size(); ++i)
        w.data[i / 3 * 4 + i % 3] = narrow[i];
      r.y = reference::conv2d(r.tensors[0], w, d.stride, d.pad);
      const auto g =
          reference::conv2d_backward(r.tensors[0], w, dy, d.stride, d.pad);
      Array dw({d.k, d.r, d.r, 3});
      for (std::size_t i = 0; i < dw.data.size(); ++i)
        dw.data[i] = g.dw.data[i / 3 * 4 + i % 3];
      r.gradients = {g.dx, dw};
    };
    cases.push_back(std::move(c));
  }
}

// The F32 result of 16-bit inputs has more digits than they have; a bias
// gradient of several slabs of rows.
inline void add_wide_linear_cases(std::vector<OpCase>& cases) {
  struct Row { std::int64_t m, i, o; };
  for (const Row& d : std::initializer_list<Row>{
           {5, 33, 17}, {16, 64, 40}, {200, 3, 260}, {321, 8, 264}})
    for (const bool bias : {false, true}) {
      OpCase c;
      c.name = fmt::format("linear {}x{} to {} in F32{}", d.m, d.i, d.o,
                           bias ? " with bias" : "");
      c.tensors = {{uniform("x", {d.m, d.i})}, {uniform("w", {d.o, d.i})}};
      if (bias) c.tensors.push_back({uniform("b", {d.o})});
      c.record = [bias](Graph& g, Values v) {
        const Value y =
            linear(g, v[0], v[1], bias ? v[2] : Value{}, DType::kF32);
        CHECK(g.info(y).dtype == DType::kF32);
        return y;
      };
      c.reference = [bias](CaseResult& r, const Array& dy) {
        const auto& t = r.tensors;
        r.y = reference::linear(t[0], t[1], bias ? &t[2] : nullptr);
        const auto g = reference::linear_backward(t[0], t[1], dy);
        r.gradients[0] = g.dx, r.gradients[1] = g.dw;
        if (bias) r.gradients[2] = g.db;
      };
      cases.push_back(std::move(c));
    }
}

inline void add_block_size_cases(std::vector<OpCase>& cases) {
  // Around one access, one warp's and one block's share.
  add_elementwise_cases(
      cases, {{7}, {8}, {9}, {31}, {33}, {257}, {2047}, {2048}, {2049}});

  for (const Dims& dims : std::initializer_list<Dims>{
           {1, 1, 1, 3}, {1, 1, 31, 3}, {1, 3, 11, 3}, {1, 32, 32, 3},
           {2, 37, 41, 3}, {1, 67, 131, 3}})
    for (const int channels : {3, 4})
      for (const auto& [dtype, tolerance] :
           {std::pair{DType::kF32, OpCase::kFp32}, {DType::kF16, 1e-6},
            {DType::kBF16, 1e-5}}) {
        cases.push_back(image_normalize_case(dims, channels, dtype));
        cases.back().tolerance = tolerance;
      }

  // More in a row than a block has threads; one channel less and more than
  // eight; strides beyond the window leave inputs without one.
  add_max_pool_cases(cases, {{{1, 5, 67, 64}, {3, 2, 1}},
                             {{2, 6, 300, 3}, {3, 2, 1}},
                             {{3, 5, 5, 7}, {3, 2, 1}, true},
                             {{2, 5, 5, 8}, {3, 2, 1}, true},
                             {{1, 5, 6, 9}, {3, 2, 1}},
                             {{2, 11, 8, 8}, {2, 5, 0}},
                             {{1, 9, 9, 16}, {9, 1, 4}, true}});
  add_avg_pool_cases(cases, {{{2, 7, 7, 2056}, 6, 1},
                             {{1, 4, 70, 64}, 2, 1},
                             {{3, 3, 3, 9}, 0, 0},
                             {{1, 6, 9, 8}, 2, 3}});
  add_global_avg_pool_cases(
      cases, {{1, 2, 3, 2056}, {2, 2, 70, 64}, {1, 1, 2, 257}, {3, 4, 4, 8}});

  std::vector<std::int64_t> begin{0};
  for (const std::int64_t size : {1, 31, 32, 33, 2, 63, 65, 129, 7, 300, 1})
    begin.push_back(begin.back() + size);
  add_segment_softmax_cases(cases, {{5, begin, 0.5, 4}, {100, {0, 5}, 1, 4}});
  add_cross_entropy_cases(cases, {{70, 1001}, {7, 31}, {9, 33, 200}, {257, 2}});

  for (const std::int64_t d : {31, 32, 33, 300})
    cases.push_back(l2_normalize_case(9, d));
  cases.push_back(l2_normalize_case(30, 8));
  add_inner_cases(cases, {{2049}, {30, 7}, {9, 300}});
  add_contrastive_cases(
      cases, {{9, 16, 7}, {2, 129, 100}, {3, 300, 5}, {40, 40, 0}});
  add_soft_cross_entropy_cases(cases, {{70, 1001}, {7, 31}, {9, 257, 1, 200}});
  add_sinkhorn_cases(cases, {{33, 129}, {70, 257}, {3, 1000}});
}

inline std::vector<OpCase> gpu_cases() {
  std::vector<OpCase> cases;
  add_padded_conv2d_cases(cases);
  add_wide_linear_cases(cases);
  add_block_size_cases(cases);
  return cases;
}

}  // namespace music::test
