#pragma once
// Cases of ops that write a buffer or a parameter in place, and of a reading.

#include "engine/ops/column_deviation.h"
#include "engine/ops/normalize_rows_in_place.h"
#include "engine/ops/push_rows.h"
#include "tests/support/cases_rows.h"

namespace music::test {

inline void add_push_rows_cases(std::vector<OpCase>& cases) {
  struct Row { std::int64_t k, d, m, position; int pushes = 1; };
  for (const Row& d : std::initializer_list<Row>{
           {1, 1, 1, 0}, {6, 3, 2, 4}, {6, 3, 3, 5}, {4, 130, 4, 1},
           {12, 5, 4, 8, 3}}) {
    OpCase c;
    c.wide_only = true;
    c.tolerance = 0;
    c.name = fmt::format("push_rows {} to {} of {}x{}, {} times", d.m,
                         d.position, d.k, d.d, d.pushes);
    c.tensors = {{uniform("queue", {d.k, d.d}), Role::kBuffer},
                 {scalar(static_cast<double>(d.position)), Role::kBuffer},
                 {uniform("rows", {d.m, d.d}), Role::kData}};
    c.record = [d](Graph& g, Values v) {
      Value after;
      for (int i = 0; i < d.pushes; ++i)
        after = push_rows(g, v[0], v[1], v[2]);
      return after;
    };
    c.reference = [d](CaseResult& r, const Array&) {
      auto& t = r.tensors;
      for (int i = 0; i < d.pushes; ++i)
        reference::push_rows(t[0], t[1], t[2]);
      r.y = t[1];
    };
    cases.push_back(c);
  }
}

// What is read after it, the lengths and the gradient.
inline void add_normalize_rows_in_place_cases(std::vector<OpCase>& cases) {
  for (const bool lengths : {false, true}) {
    OpCase c;
    c.wide_only = true;
    c.name = fmt::format("normalize_rows_in_place {}",
                         lengths ? "lengths" : "rows");
    c.tensors = {{uniform("prototypes", {7, 33})}};
    for (std::int64_t i = 0; i < 33; ++i) c.tensors[0].value[i] = 0;
    c.record = [lengths](Graph& g, Values v) {
      const Value norms = normalize_rows_in_place(g, v[0]);
      if (!lengths) return relu(g, v[0]);
      // The gradient has to reach the parameter.
      return concat_rows(g, {row_inner(g, v[0], v[0]), norms});
    };
    c.reference = [lengths](CaseResult& r, const Array& dy) {
      const Array unit = reference::l2_normalize(r.tensors[0]);
      if (!lengths) {
        r.y = reference::relu(unit);
        r.gradients = {reference::relu_backward(unit, dy)};
        return;
      }
      Array norms({7});
      for (std::int64_t i = 0; i < 7; ++i)
        norms[i] = reference::row_norm(r.tensors[0], i);
      r.y = reference::concat_rows({reference::row_inner(unit, unit), norms});
      r.gradients = {reference::row_inner_backward(
          reference::slice_rows(dy, 0, 7), unit)};
      for (double& v : r.gradients[0].data) v *= 2;
    };
    cases.push_back(c);
  }
}

inline void add_column_deviation_cases(std::vector<OpCase>& cases) {
  struct Row { std::int64_t m, d; double mean = 0; };
  for (const Row& d : std::initializer_list<Row>{
           {1, 3}, {2, 1}, {4, 6}, {33, 128}, {300, 17, 3}}) {
    OpCase c;
    c.name = fmt::format("column_deviation {}x{} around {}", d.m, d.d, d.mean);
    c.tensors = {{uniform("deviation/x", {d.m, d.d}, 2, d.mean), Role::kData}};
    c.record = [](Graph& g, Values v) { return column_deviation(g, v[0]); };
    c.reference = [](CaseResult& r, const Array&) {
      r.y = reference::column_deviation(r.tensors[0]);
    };
    cases.push_back(c);
  }
}

inline void add_state_cases(std::vector<OpCase>& cases) {
  add_push_rows_cases(cases);
  add_normalize_rows_in_place_cases(cases);
  add_column_deviation_cases(cases);
}

}  // namespace music::test
