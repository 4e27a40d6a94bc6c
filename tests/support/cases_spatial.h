#pragma once
// Cases of convolution and pooling.

#include <cmath>

#include "engine/ops/avg_pool.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/conv2d_norm.h"
#include "engine/ops/global_avg_pool.h"
#include "engine/ops/max_pool.h"
#include "tests/support/op_case.h"

namespace music::test {

inline void add_conv2d_cases(std::vector<OpCase>& cases) {
  struct Row { std::int64_t n, h, w, c, k, r; int stride, pad; };
  for (const Row& d : std::initializer_list<Row>{
           {1, 5, 7, 1, 3, 1, 1, 0},    {2, 7, 7, 64, 100, 1, 1, 0},
           {2, 9, 8, 33, 16, 1, 2, 0},  {4, 1, 1, 33, 16, 1, 1, 0},
           {16, 12, 12, 4, 8, 1, 2, 0},
           {3, 6, 6, 100, 1, 1, 1, 0},  {1, 6, 5, 3, 16, 3, 1, 1},
           {3, 9, 7, 16, 33, 3, 2, 1},  {2, 5, 5, 64, 64, 3, 1, 1},
           {1, 7, 7, 100, 3, 3, 1, 0},  {2, 8, 8, 1, 1, 3, 2, 1},
           {2, 1, 1, 16, 16, 3, 1, 1},  {1, 4, 9, 33, 64, 3, 2, 0},
           {2, 17, 15, 3, 64, 7, 2, 3}, {1, 7, 7, 16, 16, 7, 1, 3},
           {1, 20, 20, 3, 33, 7, 2, 3}, {1, 7, 7, 1, 100, 7, 1, 0},
           {8, 8, 8, 32, 48, 3, 1, 1},  {8, 9, 7, 48, 32, 3, 1, 0}}) {
    OpCase c;
    c.name = fmt::format("conv2d {}x{}x{}x{} to {}, {}x{} stride {} pad {}",
                         d.n, d.h, d.w, d.c, d.k, d.r, d.r, d.stride, d.pad);
    c.tensors = {{uniform("x", {d.n, d.h, d.w, d.c})},
                 {uniform("w", {d.k, d.r, d.r, d.c})}};
    c.record = [d](Graph& g, Values v) {
      return conv2d(g, v[0], v[1], {d.stride, d.pad});
    };
    c.reference = [d](CaseResult& r, const Array& dy) {
      const Array &x = r.tensors[0], &w = r.tensors[1];
      r.y = reference::conv2d(x, w, d.stride, d.pad);
      const auto g = reference::conv2d_backward(x, w, dy, d.stride, d.pad);
      r.gradients = {g.dx, g.dw};
    };
    cases.push_back(std::move(c));
  }
}

struct ConvNormRow {
  std::int64_t n, h, w, c, k, r;
  int stride, pad;
  bool relu, residual;
};

inline void add_conv2d_norm_cases(std::vector<OpCase>& cases,
                                  const std::vector<ConvNormRow>& rows) {
  for (const ConvNormRow& d : rows) {
    OpCase c;
    c.name = fmt::format("conv2d_norm {}x{}x{}x{} to {}, {}x{} stride {} pad {}{}{}",
                         d.n, d.h, d.w, d.c, d.k, d.r, d.r, d.stride, d.pad,
                         d.relu ? " relu" : "", d.residual ? " residual" : "");
    // No gradient: nothing is trained.
    c.tensors = {{uniform("x", {d.n, d.h, d.w, d.c}), Role::kData},
                 {uniform("w", {d.k, d.r, d.r, d.c}), Role::kData},
                 {uniform("gamma", {d.k}, 1, 1), Role::kData},
                 {uniform("beta", {d.k}), Role::kData},
                 {uniform("mean", {d.k}, 1, 0.5), Role::kBuffer},
                 {uniform("var", {d.k}, 1, 1), Role::kBuffer}};
    c.tensors[2].wide = c.tensors[3].wide = true;
    if (d.residual)
      c.tensors.push_back(
          {uniform("residual",
                   {d.n, reference::window_count(d.h, d.r, d.stride, d.pad),
                    reference::window_count(d.w, d.r, d.stride, d.pad), d.k}),
           Role::kData});
    c.record = [d](Graph& g, Values v) {
      return conv2d_norm(g, v[0], v[1], {d.stride, d.pad}, v[2], v[3], v[4], v[5],
                         d.residual ? v[6] : Value{}, d.relu);
    };
    c.reference = [d](CaseResult& r, const Array&) {
      auto& t = r.tensors;
      r.y = reference::batch_norm_inference(
          reference::conv2d(t[0], t[1], d.stride, d.pad), t[2], t[3], t[4], t[5],
          d.residual ? &t[6] : nullptr, BatchNormSpec{.relu = d.relu});
    };
    cases.push_back(std::move(c));
  }
}

struct MaxPoolRow {
  Dims dims;
  MaxPoolSpec spec;
  bool ties = false;
};

inline void add_max_pool_cases(std::vector<OpCase>& cases,
                               const std::vector<MaxPoolRow>& rows) {
  for (const MaxPoolRow& d : rows) {
    OpCase c;
    c.name = fmt::format("max_pool [{}] size {} stride {} pad {}{}",
                         fmt::join(d.dims, ","), d.spec.size, d.spec.stride,
                         d.spec.pad, d.ties ? ", ties" : "");
    Array x = uniform("pool/x", d.dims);
    if (d.ties)  // few distinct values, all negative: 0 padding would win
      for (double& v : x.data) v = std::floor(v) - 1;
    c.tensors = {{x}};
    c.record = [d](Graph& g, Values v) { return max_pool(g, v[0], d.spec); };
    c.reference = [d](CaseResult& r, const Array& dy) {
      const auto f = reference::max_pool(r.tensors[0], d.spec.size,
                                         d.spec.stride, d.spec.pad);
      r.y = f.y;
      r.gradients = {reference::max_pool_backward(r.tensors[0], f, dy)};
    };
    c.tolerance = 1e-12;  // selection; the gradient adds overlapping windows
    cases.push_back(std::move(c));
  }
}

inline void add_global_avg_pool_cases(std::vector<OpCase>& cases,
                                      const std::vector<Dims>& shapes) {
  for (const Dims& dims : shapes) {
    OpCase c;
    c.name = fmt::format("global_avg_pool [{}]", fmt::join(dims, ","));
    c.tensors = {{uniform("avg/x", dims)}};
    c.record = [](Graph& g, Values v) { return global_avg_pool(g, v[0]); };
    c.reference = [](CaseResult& r, const Array& dy) {
      r.y = reference::global_avg_pool(r.tensors[0]);
      r.gradients = {reference::global_avg_pool_backward(r.tensors[0], dy)};
    };
    cases.push_back(std::move(c));
  }
}

struct AvgPoolRow {
  Dims dims;
  int size, stride;  // size 0: two windows an axis
};

inline void add_avg_pool_cases(std::vector<OpCase>& cases,
                               const std::vector<AvgPoolRow>& rows) {
  for (const AvgPoolRow& d : rows) {
    const Shape shape{d.dims[0], d.dims[1], d.dims[2], d.dims[3]};
    const AvgPoolSpec spec =
        d.size > 0 ? AvgPoolSpec::windows(shape, d.size, d.stride)
                   : AvgPoolSpec::two(shape);
    const auto axis = [](const AvgPoolSpec::Axis& a) {
      return reference::PoolAxis{a.size, a.stride, a.count};
    };
    OpCase c;
    c.name = fmt::format("avg_pool [{}] size {} stride {}",
                         fmt::join(d.dims, ","), d.size, d.stride);
    c.tensors = {{uniform("avg/x", d.dims)}};
    c.record = [spec](Graph& g, Values v) { return avg_pool(g, v[0], spec); };
    c.reference = [=](CaseResult& r, const Array& dy) {
      const auto rows = axis(spec.rows), columns = axis(spec.columns);
      r.y = reference::avg_pool(r.tensors[0], rows, columns);
      r.gradients = {
          reference::avg_pool_backward(r.tensors[0], dy, rows, columns)};
    };
    cases.push_back(std::move(c));
  }
}

inline void add_pool_cases(std::vector<OpCase>& cases) {
  add_max_pool_cases(
      cases, {{{2, 8, 8, 64}, {3, 2, 1}},       {{1, 7, 9, 3}, {3, 2, 1}},
              {{2, 5, 5, 1}, {2, 2, 0}},        {{1, 1, 1, 16}, {3, 2, 1}},
              {{3, 6, 7, 33}, {3, 1, 1}},       {{2, 9, 9, 100}, {5, 3, 2}},
              {{2, 7, 7, 16}, {3, 2, 1}, true}, {{1, 8, 6, 3}, {2, 1, 1}, true}});
  add_conv2d_norm_cases(cases, {{2, 7, 7, 64, 100, 1, 1, 0, true, false},
                                {3, 6, 6, 100, 1, 1, 1, 0, false, true},
                                {2, 9, 8, 33, 16, 1, 2, 0, false, false},
                                {3, 9, 7, 16, 33, 3, 2, 1, true, false},
                                {2, 5, 5, 64, 64, 3, 1, 1, true, true},
                                {1, 17, 15, 3, 64, 7, 2, 3, true, false},
                                {2, 1, 1, 16, 16, 3, 1, 1, false, true},
                                {8, 8, 8, 32, 48, 3, 1, 1, true, true},
                                {8, 9, 7, 48, 32, 3, 1, 1, false, false}});
  add_avg_pool_cases(cases, {{{2, 7, 7, 64}, 6, 1},
                             {{1, 7, 7, 33}, 0, 0},
                             {{3, 4, 4, 16}, 0, 0},
                             {{2, 1, 1, 100}, 0, 0},
                             {{1, 5, 2, 3}, 0, 0},
                             {{2, 9, 8, 1}, 3, 2},
                             {{1, 11, 7, 16}, 2, 5}});
  add_global_avg_pool_cases(cases, {{2, 7, 7, 64},
                                    {1, 1, 1, 3},
                                    {3, 5, 2, 33},
                                    {1, 4, 4, 1},
                                    {2, 3, 3, 100}});
}

}  // namespace music::test
