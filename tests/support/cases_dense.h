#pragma once
// Cases of linear, segment softmax and cross-entropy.

#include <algorithm>
#include <cmath>

#include "engine/ops/cross_entropy.h"
#include "engine/ops/linear.h"
#include "engine/ops/segment_softmax.h"
#include "engine/ops/top_hits.h"
#include "tests/support/op_case.h"

namespace music::test {

inline void add_linear_cases(std::vector<OpCase>& cases) {
  struct Row { std::int64_t m, i, o; };
  for (const Row& d : std::initializer_list<Row>{
           {1, 1, 1}, {1, 64, 33}, {5, 3, 100}, {16, 100, 64}, {33, 33, 3},
           {64, 16, 1}, {3, 512, 130}, {130, 1, 7}})
    for (const bool bias : {false, true}) {
      OpCase c;
      c.name = fmt::format("linear {}x{} to {}{}", d.m, d.i, d.o,
                           bias ? " with bias" : "");
      c.tensors = {{uniform("x", {d.m, d.i})}, {uniform("w", {d.o, d.i})}};
      if (bias) c.tensors.push_back({uniform("b", {d.o})});
      c.record = [bias](Graph& g, Values v) {
        return linear(g, v[0], v[1], bias ? v[2] : Value{});
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

struct SegmentSoftmaxRow {
  std::int64_t m;
  std::vector<std::int64_t> begin;
  double t, scale;
};

inline void add_segment_softmax_cases(
    std::vector<OpCase>& cases, const std::vector<SegmentSoftmaxRow>& rows) {
  for (const SegmentSoftmaxRow& d : rows) {
    OpCase c;
    c.wide_only = true;
    c.name = fmt::format("segment_softmax {} rows, segments at {}, t {}", d.m,
                         fmt::join(d.begin, " "), d.t);
    c.tensors = {{uniform("z", {d.m, d.begin.back()}, d.scale)}};
    c.record = [d](Graph& g, Values v) {
      return segment_softmax(g, v[0], {d.begin, d.t});
    };
    c.reference = [d](CaseResult& r, const Array& dy) {
      r.y = reference::segment_softmax(r.tensors[0], d.begin, d.t);
      r.gradients = {
          reference::segment_softmax_backward(r.y, d.begin, d.t, dy)};
    };
    cases.push_back(std::move(c));
  }
}

struct CrossEntropyRow {
  std::int64_t m, k;
  double scale = 4;
};

inline void add_cross_entropy_cases(std::vector<OpCase>& cases,
                                    const std::vector<CrossEntropyRow>& rows) {
  for (const auto& [m, k, scale] : rows) {
    OpCase c;
    c.wide_only = true;
    c.name = fmt::format("cross_entropy {}x{}, logits +-{}", m, k, scale / 2);
    const double classes = static_cast<double>(k);
    Array labels = uniform("labels", {m}, classes, classes / 2);
    for (double& v : labels.data) v = std::floor(v);
    c.tensors = {{uniform("logits", {m, k}, scale)},
                 {labels, Role::kData, DType::kI32}};
    c.record = [](Graph& g, Values v) { return cross_entropy(g, v[0], v[1]); };
    c.reference = [](CaseResult& r, const Array& dy) {
      const auto e = reference::cross_entropy(
          r.tensors[0], {r.tensors[1].data.begin(), r.tensors[1].data.end()});
      r.y = Array({1}, std::vector<double>{e.loss});
      r.gradients[0] = e.dlogits;
      for (double& d : r.gradients[0].data) d *= dy[0];
    };
    cases.push_back(std::move(c));
  }
}

// Logits of few values, so that many are as large as the label's; the first row
// has no label.
inline void add_top_hits_cases(std::vector<OpCase>& cases) {
  for (const auto& [m, k, most] : {std::tuple{1, 1, 1}, {40, 10, 1},
                                   {40, 10, 5}, {300, 67, 5}}) {
    OpCase c;
    c.wide_only = true;
    c.tolerance = 0;
    c.name = fmt::format("top_hits {}x{}, {}", m, k, most);
    Array logits = uniform("logits", {m, k}, 16);
    for (double& v : logits.data) v = std::floor(v);
    Array labels = uniform("labels", {m}, k, k / 2.0);
    for (double& v : labels.data) v = std::floor(v);
    if (m > 1) labels.data[0] = -1;
    c.tensors = {{logits, Role::kData}, {labels, Role::kData, DType::kI32}};
    c.record = [most](Graph& g, Values v) {
      return top_hits(g, v[0], v[1], most);
    };
    c.reference = [k, most](CaseResult& r, const Array&) {
      double hits = 0;
      for (std::size_t i = 0; i < r.tensors[1].data.size(); ++i) {
        if (r.tensors[1].data[i] < 0) continue;
        const auto label = static_cast<std::size_t>(r.tensors[1].data[i]);
        const double* z =
            r.tensors[0].data.data() + i * static_cast<std::size_t>(k);
        hits += std::count_if(z, z + k, [&](double v) {
                  return v >= z[label];
                }) <= most;
      }
      r.y = Array({1}, std::vector<double>{hits});
    };
    cases.push_back(std::move(c));
  }
}

inline void add_softmax_cases(std::vector<OpCase>& cases) {
  add_segment_softmax_cases(
      cases, {{5, {0, 8, 16, 24}, 1, 4},     {1, {0, 1}, 1, 4},
              {3, {0, 3, 10, 12, 45}, 1, 4}, {7, {0, 80, 160}, 0.25, 4},
              {2, {0, 100}, 2, 300},         {33, {0, 2, 3, 67}, 1, 4}});
  add_cross_entropy_cases(cases, {{1, 1}, {5, 10}, {33, 3, 200}, {16, 100}});
  add_top_hits_cases(cases);
}

}  // namespace music::test
