#pragma once
// Cases of batch normalisation.

#include <cmath>

#include "engine/ops/add.h"
#include "engine/ops/batch_norm.h"
#include "engine/ops/relu.h"
#include "tests/support/op_case.h"

namespace music::test {

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
  c.tensors[1].wide = c.tensors[2].wide = true;
  // 16 bits of a number around 1000 leave no digits for its deviation.
  c.wide_only = std::abs(d.mean) > 100;
  if (d.running) {
    c.tensors.push_back(
        {uniform("mean", {channels}, 1, d.mean), Role::kBuffer});
    c.tensors.push_back({uniform("var", {channels}, 1, 1), Role::kBuffer});
  }
  if (d.residual) c.tensors.push_back({uniform("residual", d.dims)});
  const BatchNormSpec spec{.groups = d.groups, .relu = d.relu};
  c.record = [d, inference, spec](Graph& g, Values v) {
    const Value mean = d.running ? v[3] : Value{};
    const Value var = d.running ? v[4] : Value{};
    const Value residual = d.residual ? v.back() : Value{};
    const Value y =
        inference
            ? batch_norm_inference(g, v[0], v[1], v[2], mean, var, residual,
                                   spec)
            : batch_norm(g, v[0], v[1], v[2], mean, var, residual, spec);
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
      if (d.uses >= 2)
        r.y[i] += active ? forward.y[i] : 0, dnorm[i] += active * dy[i];
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
      cases.push_back(batch_norm_case({.dims = dims,
                                       .groups = groups,
                                       .relu = true,
                                       .running = groups == 2},
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

}  // namespace music::test
