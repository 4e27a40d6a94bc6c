#pragma once
// The table every backend is held to: each op of engine/ops, forward and
// backward, on sizes that are odd, small or awkward. Tensors are in the order
// the op takes them.

#include <cmath>
#include <optional>

#include "engine/ops/add.h"
#include "engine/ops/batch_norm.h"
#include "engine/ops/cast.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/cross_entropy.h"
#include "engine/ops/global_avg_pool.h"
#include "engine/ops/image_normalize.h"
#include "engine/ops/linear.h"
#include "engine/ops/max_pool.h"
#include "engine/ops/reduce.h"
#include "engine/ops/relu.h"
#include "engine/ops/segment_softmax.h"
#include "tests/support/op_case.h"

namespace music::test {

using Values = std::span<const Value>;
using Role = CaseTensor::Role;

inline void add_conv2d_cases(std::vector<OpCase>& cases) {
  struct Row { std::int64_t n, h, w, c, k, r; int stride, pad; };
  for (const Row& d : std::initializer_list<Row>{
           {1, 5, 7, 1, 3, 1, 1, 0},    {2, 7, 7, 64, 100, 1, 1, 0},
           {2, 9, 8, 33, 16, 1, 2, 0},  {4, 1, 1, 33, 16, 1, 1, 0},
           {3, 6, 6, 100, 1, 1, 1, 0},  {1, 6, 5, 3, 16, 3, 1, 1},
           {3, 9, 7, 16, 33, 3, 2, 1},  {2, 5, 5, 64, 64, 3, 1, 1},
           {1, 7, 7, 100, 3, 3, 1, 0},  {2, 8, 8, 1, 1, 3, 2, 1},
           {2, 1, 1, 16, 16, 3, 1, 1},  {1, 4, 9, 33, 64, 3, 2, 0},
           {2, 17, 15, 3, 64, 7, 2, 3}, {1, 7, 7, 16, 16, 7, 1, 3},
           {1, 20, 20, 3, 33, 7, 2, 3}, {1, 7, 7, 1, 100, 7, 1, 0}}) {
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

struct BatchNormRow {
  Dims dims;
  int groups = 1;
  bool relu = false, residual = false, running = true;
  int uses = 1;  // of y: its gradient arrives in as many parts
  double mean = 0, std = 1;
};

// tensors: x, gamma, beta, [mean, var], [residual].
inline OpCase batch_norm_case(const BatchNormRow& d, bool inference) {
  OpCase c;
  c.name = fmt::format(
      "batch_norm{} [{}] groups {}{}{}{}, y used {}x, mean {} std {}",
      inference ? " inference" : "", fmt::join(d.dims, ","), d.groups,
      d.relu ? " relu" : "", d.residual ? " residual" : "",
      d.running ? " running" : "", d.uses, d.mean, d.std);
  const std::int64_t channels = d.dims.back();
  c.tensors = {{uniform("bn/x", d.dims, d.std * std::sqrt(12.0), d.mean)},
               {uniform("gamma", {channels}, 1, 1)},
               {uniform("beta", {channels})}};
  if (d.running) {
    c.tensors.push_back({uniform("mean", {channels}, 1, d.mean), Role::kBuffer});
    c.tensors.push_back({uniform("var", {channels}, 1, 1), Role::kBuffer});
  }
  if (d.residual) c.tensors.push_back({uniform("residual", d.dims)});
  const BatchNormSpec spec{.groups = d.groups, .relu = d.relu};
  const auto op = inference ? batch_norm_inference : batch_norm;
  c.record = [d, op, spec](Graph& g, Values v) {
    const Value y = op(g, v[0], v[1], v[2], d.running ? v[3] : Value{},
                       d.running ? v[4] : Value{},
                       d.residual ? v.back() : Value{}, spec);
    if (d.uses == 1) return y;
    const Value two = add(g, y, relu(g, y));
    return d.uses == 2 ? two : add(g, two, y);
  };
  c.reference = [d, inference, spec](CaseResult& r, const Array& dy) {
    auto& t = r.tensors;
    const Array* residual = d.residual ? &t.back() : nullptr;
    if (inference) {
      r.y = reference::batch_norm_inference(t[0], t[1], t[2], t[3], t[4],
                                            residual, spec);
      return;
    }
    const auto forward = reference::batch_norm(
        t[0], t[1], t[2], residual, spec, d.running ? &t[3] : nullptr,
        d.running ? &t[4] : nullptr);
    r.y = forward.y;
    Array dnorm = dy;
    for (std::int64_t i = 0; i < dy.size(); ++i) {
      const bool active = forward.y[i] > 0;
      if (d.uses >= 2) r.y[i] += active ? forward.y[i] : 0, dnorm[i] += active * dy[i];
      if (d.uses == 3) r.y[i] += forward.y[i], dnorm[i] += dy[i];
    }
    const auto g =
        reference::batch_norm_backward(t[0], t[1], forward, dnorm, spec);
    r.gradients[0] = g.dx, r.gradients[1] = g.dgamma, r.gradients[2] = g.dbeta;
    if (d.residual) r.gradients.back() = g.dresidual;
  };
  return c;
}

inline void add_batch_norm_cases(std::vector<OpCase>& cases) {
  for (const int groups : {1, 2})
    for (const bool relu : {false, true})
      for (const bool residual : {false, true})
        for (const int uses : {1, 2, 3})
          cases.push_back(batch_norm_case(
              {{4, 5, 3, 16}, groups, relu, residual, true, uses}, false));
  for (const Dims& dims : std::initializer_list<Dims>{
           {2, 7, 9, 1}, {6, 3, 3, 3}, {2, 5, 5, 33}, {4, 8, 8, 64},
           {2, 3, 3, 100}, {4, 100}, {32, 3}, {2, 130, 70, 3}, {64, 200}})
    for (const int groups : {1, 2})
      cases.push_back(batch_norm_case(
          {.dims = dims, .groups = groups, .relu = true, .running = groups == 2},
          false));
  cases.push_back(batch_norm_case({{1, 6, 6, 33}}, false));
  // x far from 0: sums of squares alone would lose the variance.
  cases.push_back(batch_norm_case(
      {.dims = {2, 16, 16, 3}, .groups = 2, .mean = 1e3, .std = 0.5}, false));
  cases.push_back(batch_norm_case(
      {.dims = {512, 33}, .relu = true, .mean = -1e3, .std = 0.5}, false));
  for (const bool relu : {false, true})
    for (const bool residual : {false, true})
      for (const std::int64_t channels : {3, 64, 100})
        cases.push_back(batch_norm_case(
            {{2, 5, 3, channels}, 1, relu, residual}, true));
}

inline void add_pool_cases(std::vector<OpCase>& cases) {
  struct Row { Dims dims; MaxPoolSpec spec; bool ties = false; };
  for (const Row& d : std::initializer_list<Row>{
           {{2, 8, 8, 64}, {3, 2, 1}},       {{1, 7, 9, 3}, {3, 2, 1}},
           {{2, 5, 5, 1}, {2, 2, 0}},        {{1, 1, 1, 16}, {3, 2, 1}},
           {{3, 6, 7, 33}, {3, 1, 1}},       {{2, 9, 9, 100}, {5, 3, 2}},
           {{2, 7, 7, 16}, {3, 2, 1}, true}, {{1, 8, 6, 3}, {2, 1, 1}, true}}) {
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
  for (const Dims& dims : std::initializer_list<Dims>{
           {2, 7, 7, 64}, {1, 1, 1, 3}, {3, 5, 2, 33}, {1, 4, 4, 1}, {2, 3, 3, 100}}) {
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

inline void add_softmax_cases(std::vector<OpCase>& cases) {
  struct Row { std::int64_t m; std::vector<std::int64_t> begin; double t, scale; };
  for (const Row& d : std::initializer_list<Row>{
           {5, {0, 8, 16, 24}, 1, 4},     {1, {0, 1}, 1, 4},
           {3, {0, 3, 10, 12, 45}, 1, 4}, {7, {0, 80, 160}, 0.25, 4},
           {2, {0, 100}, 2, 300},         {33, {0, 2, 3, 67}, 1, 4}}) {
    OpCase c;
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
  for (const auto& [m, k, scale] :
       {std::tuple{1, 1, 4.0}, {5, 10, 4.0}, {33, 3, 200.0}, {16, 100, 4.0}}) {
    OpCase c;
    c.name = fmt::format("cross_entropy {}x{}, logits +-{}", m, k, scale / 2);
    Array labels = uniform("labels", {m}, k, k / 2.0);
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

inline void add_elementwise_cases(std::vector<OpCase>& cases) {
  for (const Dims& dims : std::initializer_list<Dims>{
           {1}, {2, 3, 5, 33}, {1, 7, 7, 1}, {40001}}) {
    const std::string suffix = fmt::format(" [{}]", fmt::join(dims, ","));
    const Array x = uniform("e/x", dims), other = uniform("e/b", dims);
    OpCase c;
    c.name = "relu" + suffix;
    c.tensors = {{x}};
    c.tensors[0].value[0] = 0;  // the gradient at 0 is 0
    c.tolerance = 0;
    c.record = [](Graph& g, Values v) { return relu(g, v[0]); };
    c.reference = [](CaseResult& r, const Array& dy) {
      r.y = reference::relu(r.tensors[0]);
      r.gradients = {reference::relu_backward(r.tensors[0], dy)};
    };
    cases.push_back(c);

    c.name = "add" + suffix;
    c.tensors = {{x}, {other}};
    c.tolerance = OpCase::kFp32;
    // A parameter's gradient is its own: relu keeps the two apart.
    c.record = [](Graph& g, Values v) { return add(g, relu(g, v[0]), v[1]); };
    c.reference = [](CaseResult& r, const Array& dy) {
      r.y = reference::add(reference::relu(r.tensors[0]), r.tensors[1]);
      r.gradients = {reference::relu_backward(r.tensors[0], dy), dy};
    };
    cases.push_back(c);

    for (const auto kind : {ReduceKind::kSum, ReduceKind::kMean}) {
      const bool mean = kind == ReduceKind::kMean;
      c.name = (mean ? "reduce mean" : "reduce sum") + suffix;
      c.tensors = {{x}};
      c.record = [kind](Graph& g, Values v) { return reduce(g, v[0], kind); };
      c.reference = [mean](CaseResult& r, const Array& dy) {
        const Array& t = r.tensors[0];
        r.y = Array({1}, std::vector<double>{mean ? reference::reduce_mean(t)
                                                  : reference::reduce_sum(t)});
        r.gradients = {reference::reduce_backward(
            t, mean ? dy[0] / static_cast<double>(t.size()) : dy[0])};
      };
      cases.push_back(c);
    }

    c.name = "scale" + suffix;
    c.tensors = {{x, Role::kData}, {uniform("s", {1}), Role::kData}};
    c.record = [](Graph& g, Values v) { return scale(g, v[0], v[1]); };
    c.reference = [](CaseResult& r, const Array&) {
      r.y = r.tensors[0];
      for (double& v : r.y.data) v *= r.tensors[1][0];
    };
    cases.push_back(c);
  }
  OpCase c;
  c.name = "image_normalize";
  Array pixels = uniform("pixels", {3, 5, 7, 3}, 256, 128);
  for (double& v : pixels.data) v = std::floor(v);
  c.tensors = {{pixels, Role::kData, DType::kU8}};
  c.record = [](Graph& g, Values v) {
    return image_normalize(g, v[0], {{0.485f, 0.456f, 0.406f},
                                     {0.229f, 0.224f, 0.225f}});
  };
  c.reference = [](CaseResult& r, const Array&) {
    r.y = reference::image_normalize(r.tensors[0], {0.485, 0.456, 0.406},
                                     {0.229, 0.224, 0.225});
  };
  cases.push_back(std::move(c));
}

// Chains of casts that start and end at F32: every pair of float types, and
// from U8. Each must round exactly as its format says.
inline void add_cast_cases(std::vector<OpCase>& cases) {
  const auto rounded = [](Array x, const std::vector<DType>& through) {
    for (const DType t : through)
      if (t != DType::kF64)
        x = reference::cast(x, t == DType::kF16    ? reference::kFloat16
                               : t == DType::kBF16 ? reference::kBFloat16
                                                   : reference::kFloat32);
    return x;
  };
  using enum DType;
  for (const bool from_u8 : {false, true})
    for (const auto& through : std::initializer_list<std::vector<DType>>{
             {kF64}, {kF16}, {kBF16}, {kF16, kBF16}, {kBF16, kF16},
             {kF16, kF64}, {kBF16, kF64}, {kF64, kF16}, {kF64, kBF16}}) {
      OpCase c;
      c.name = from_u8 ? "cast U8" : "cast F32";
      for (const DType t : through) c.name += fmt::format(" {}", name_of(t));
      Array x = uniform("cast/x", {3, 333}, 256, 128);
      for (std::int64_t i = 0; i < x.size(); ++i)
        x[i] = from_u8 ? std::floor(x[i])
                       : reference::round_to((x[i] - 128) * std::exp2(i % 30 - 22),
                                             reference::kFloat32);
      c.tensors = {{x, from_u8 ? Role::kData : Role::kTrained,
                    from_u8 ? kU8 : kF32}};
      c.record = [through](Graph& g, Values v) {
        Value y = v[0];
        for (const DType t : through) y = cast(g, y, t);
        return cast(g, y, kF32);
      };
      c.reference = [=](CaseResult& r, const Array& dy) {
        r.y = rounded(r.tensors[0], through);
        if (!from_u8)
          r.gradients = {rounded(dy, {through.rbegin(), through.rend()})};
      };
      c.tolerance = 0;
      cases.push_back(std::move(c));
    }
  // Just above and below ties of the target: rounding to F32 on the way would
  // move them onto the tie.
  for (const auto& [to, ulp] : {std::pair{kF16, 0x1p-10}, {kBF16, 0x1p-7}}) {
    OpCase c;
    c.name = fmt::format("cast F64 {}", name_of(to));
    Array x({2, 200});
    for (std::int64_t i = 0; i < x.size(); ++i)
      x[i] = (1 + (static_cast<double>(i / 2) / 2 + 0.5) * ulp +
              (i % 2 ? 0x1p-40 : -0x1p-40)) * (i % 4 < 2 ? 1 : -1);
    c.tensors = {{x, Role::kData, kF64}};
    c.record = [to = to](Graph& g, Values v) {
      return cast(g, cast(g, v[0], to), kF32);
    };
    c.reference = [rounded, to = to](CaseResult& r, const Array&) {
      r.y = rounded(r.tensors[0], {to});
    };
    c.tolerance = 0;
    cases.push_back(std::move(c));
  }
}

inline std::vector<OpCase> op_cases() {
  std::vector<OpCase> cases;
  add_conv2d_cases(cases);
  add_batch_norm_cases(cases);
  add_pool_cases(cases);
  add_linear_cases(cases);
  add_softmax_cases(cases);
  add_elementwise_cases(cases);
  add_cast_cases(cases);
  return cases;
}

}  // namespace music::test
