#pragma once
// Cases of unit rows, rows that move, and inner products.

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "engine/ops/cast.h"
#include "engine/ops/inner.h"
#include "engine/ops/l2_normalize.h"
#include "engine/ops/relu.h"
#include "engine/ops/rows.h"
#include "tests/support/op_case.h"

namespace music::test {

inline Array scalar(double v) { return Array({1}, std::vector<double>{v}); }

inline Array times(Array x, double factor) {
  for (double& v : x.data) v *= factor;
  return x;
}

// size: about the length of a row's elements; one row is of zeros if asked.
inline OpCase l2_normalize_case(std::int64_t m, std::int64_t d, double size = 1,
                                bool zero_row = false, double floor = 1e-12) {
  OpCase c;
  c.wide_only = true;
  c.name = fmt::format("l2_normalize {}x{} of {}{}, floor {}", m, d, size,
                       zero_row ? " and a row of zeros" : "", floor);
  c.tensors = {{uniform("x", {m, d}, 2 * size)}};
  if (zero_row)
    for (std::int64_t i = 0; i < d; ++i) c.tensors[0].value[i] = 0;
  c.record = [floor](Graph& g, Values v) {
    return l2_normalize(g, v[0], floor);
  };
  c.reference = [floor](CaseResult& r, const Array& dy) {
    r.y = reference::l2_normalize(r.tensors[0], floor);
    r.gradients = {
        reference::l2_normalize_backward(r.tensors[0], dy, floor)};
  };
  return c;
}

inline void add_row_cases(std::vector<OpCase>& cases) {
  OpCase c;
  c.tolerance = 0;
  for (const Dims& dims : std::initializer_list<Dims>{
           {7}, {7, 3}, {6, 5, 3}, {9, 2, 3, 8}}) {
    const std::string suffix = fmt::format(" [{}]", fmt::join(dims, ","));
    const Array x = uniform("rows/x", dims), other = uniform("rows/b", dims);
    c.name = "slice_rows 2 to 5 and 4 to 6 of" + suffix;
    c.tensors = {{x}};
    // Two slices that meet; relu keeps a gradient that is a sum its own.
    c.record = [](Graph& g, Values v) {
      return concat_rows(g, {slice_rows(g, v[0], 2, 3),
                             slice_rows(g, v[0], 4, 2)});
    };
    c.reference = [](CaseResult& r, const Array& dy) {
      const Array& t = r.tensors[0];
      r.y = reference::concat_rows({reference::slice_rows(t, 2, 3),
                                    reference::slice_rows(t, 4, 2)});
      Array dx(t.shape);
      const std::int64_t size = reference::row_size(t);
      for (std::int64_t i = 0; i < 3 * size; ++i) dx[2 * size + i] += dy[i];
      for (std::int64_t i = 0; i < 2 * size; ++i)
        dx[4 * size + i] += dy[3 * size + i];
      r.gradients = {dx};
    };
    // Row 4 is in both: the sum of two is rounded.
    c.tolerance = OpCase::kFp32;
    cases.push_back(c);

    c.tolerance = 0;
    c.name = "concat_rows" + suffix;
    c.tensors = {{x}, {uniform("rows/c", dims), Role::kData}, {other}};
    c.record = [](Graph& g, Values v) {
      return concat_rows(g, {v[0], v[1], slice_rows(g, v[2], 0, 1)});
    };
    c.reference = [](CaseResult& r, const Array& dy) {
      const auto& t = r.tensors;
      r.y = reference::concat_rows({t[0], t[1],
                                    reference::slice_rows(t[2], 0, 1)});
      r.gradients[0] = reference::slice_rows(dy, 0, t[0].dim(0));
      const Array last = reference::slice_rows(dy, 2 * t[0].dim(0), 1);
      r.gradients[2] = Array(t[2].shape);
      std::copy(last.data.begin(), last.data.end(),
                r.gradients[2].data.begin());
    };
    cases.push_back(c);
  }
  struct Row { Dims dims; std::int64_t groups; };
  for (const Row& d : std::initializer_list<Row>{
           {{6}, 2}, {{6, 5}, 3}, {{12, 3, 2}, 4}, {{12, 1, 5}, 3},
           {{4, 3}, 1}, {{4, 3}, 4}}) {
    c.name = fmt::format("interleave_rows [{}] in {} groups",
                         fmt::join(d.dims, ","), d.groups);
    c.tensors = {{uniform("rows/x", d.dims)}};
    c.record = [d](Graph& g, Values v) {
      return interleave_rows(g, relu(g, v[0]), d.groups);
    };
    c.reference = [d](CaseResult& r, const Array& dy) {
      const Array& t = r.tensors[0];
      r.y = reference::interleave_rows(reference::relu(t), d.groups);
      r.gradients = {reference::relu_backward(
          t, reference::interleave_rows(dy, t.dim(0) / d.groups))};
    };
    cases.push_back(c);
  }
  // Bytes, which have no gradient.
  c.name = "interleave_rows of U8, a part of them";
  Array pixels = uniform("rows/pixels", {8, 3, 3, 3}, 256, 128);
  for (double& v : pixels.data) v = std::floor(v);
  c.tensors = {{pixels, Role::kData, DType::kU8}};
  c.record = [](Graph& g, Values v) {
    return cast(g, interleave_rows(g, slice_rows(g, v[0], 2, 6), 2),
                DType::kF32);
  };
  c.reference = [](CaseResult& r, const Array&) {
    r.y = reference::interleave_rows(reference::slice_rows(r.tensors[0], 2, 6),
                                     2);
  };
  cases.push_back(c);
}

inline void add_inner_cases(std::vector<OpCase>& cases,
                            const std::vector<Dims>& shapes) {
  for (const Dims& dims : shapes) {
    const std::string suffix = fmt::format(" [{}]", fmt::join(dims, ","));
    OpCase c;
    c.wide_only = true;
    c.name = "inner" + suffix;
    // Around 1, so that the sum is not one of digits that cancel.
    c.tensors = {{uniform("inner/a", dims, 2, 1)},
                 {uniform("inner/b", dims, 2, 1)}};
    c.record = [](Graph& g, Values v) { return inner(g, v[0], v[1]); };
    c.reference = [](CaseResult& r, const Array& dy) {
      const auto& t = r.tensors;
      r.y = scalar(reference::inner(t[0], t[1]));
      r.gradients = {times(t[1], dy[0]), times(t[0], dy[0])};
    };
    cases.push_back(c);

    c.name += " with a constant";
    c.tensors[0].role = Role::kData;
    c.reference = [](CaseResult& r, const Array& dy) {
      const auto& t = r.tensors;
      r.y = scalar(reference::inner(t[0], t[1]));
      r.gradients[1] = times(t[0], dy[0]);
    };
    cases.push_back(c);

    if (dims.size() != 2) continue;
    c.name = "row_inner" + suffix;
    c.tensors[0].role = Role::kTrained;
    c.record = [](Graph& g, Values v) { return row_inner(g, v[0], v[1]); };
    c.reference = [](CaseResult& r, const Array& dy) {
      const auto& t = r.tensors;
      r.y = reference::row_inner(t[0], t[1]);
      r.gradients = {reference::row_inner_backward(dy, t[1]),
                     reference::row_inner_backward(dy, t[0])};
    };
    cases.push_back(c);
  }
}

inline void add_all_row_cases(std::vector<OpCase>& cases) {
  for (const auto& [m, d] : std::initializer_list<std::pair<int, int>>{
           {1, 1}, {5, 3}, {33, 128}, {7, 2048}})
    cases.push_back(l2_normalize_case(m, d));
  cases.push_back(l2_normalize_case(3, 5, 1, true));
  // Below the floor; where squares underflow F32; around the floor.
  cases.push_back(l2_normalize_case(3, 5, 1e-13));
  cases.push_back(l2_normalize_case(3, 5, 1e-25, false, 1e-30));
  cases.push_back(l2_normalize_case(4, 8, 1, false, 1.6));
  add_row_cases(cases);
  add_inner_cases(cases, {{1}, {5, 3}, {2, 3, 5, 33}, {33, 128}, {40001}});
}

}  // namespace music::test
