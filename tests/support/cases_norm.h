#pragma once
// Cases of batch normalisation.

#include <algorithm>
#include <cmath>
#include <memory>

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
  bool pooled = false;  // running statistics: of all groups together
};

// tensors: x, gamma, beta, [mean, var], [residual].
inline OpCase batch_norm_case(const BatchNormRow& d, bool inference) {
  OpCase c;
  c.name = fmt::format(
      "batch_norm{} [{}] groups {}{}{}{}, y used {}x, mean {} std {}",
      inference ? " inference" : "", fmt::join(d.dims, ","), d.groups,
      d.relu ? " relu" : "", d.residual ? " residual" : "",
      d.pooled ? " pooled" : d.running ? " running" : "", d.uses, d.mean, d.std);
  const std::int64_t channels = d.dims.back();
  c.tensors = {{uniform("bn/x", d.dims, d.std * std::sqrt(12.0), d.mean)},
               {uniform("gamma", {channels}, 1, 1)},
               {uniform("beta", {channels})}};
  c.tensors[1].wide = c.tensors[2].wide = true;
  // 16 bits of a number around 1000 leave no digits for its deviation.
  c.wide_only = std::abs(d.mean) > 100;
  // The mean is kept in F32: of 1000, with 6e-5 of a deviation of 1.
  if (c.wide_only) c.tolerance = 1e-7;
  if (d.running) {
    c.tensors.push_back(
        {uniform("mean", {channels}, 1, d.mean), Role::kBuffer});
    c.tensors.push_back({uniform("var", {channels}, 1, 1), Role::kBuffer});
  }
  if (d.residual) c.tensors.push_back({uniform("residual", d.dims)});
  if (inference)  // has no gradient
    for (CaseTensor& t : c.tensors)
      if (t.role == CaseTensor::Role::kTrained) t.role = CaseTensor::Role::kData;
  const BatchNormSpec spec{.groups = d.groups, .relu = d.relu};
  c.record = [d, inference, spec](Graph& g, Values v) {
    const Value mean = d.running ? v[3] : Value{};
    const Value var = d.running ? v[4] : Value{};
    const Value residual = d.residual ? v.back() : Value{};
    const Value y =
        inference
            ? batch_norm_inference(g, v[0], v[1], v[2], mean, var, residual,
                                   spec)
        : d.pooled
            ? batch_norm(g, v[0], v[1], v[2], mean, var, residual, spec,
                         nullptr, [](Graph&, Value own) { return own; })
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
    const bool inside = d.running && !d.pooled;
    const auto forward = reference::batch_norm(
        t[0], t[1], t[2], residual, spec, inside ? &t[3] : nullptr,
        inside ? &t[4] : nullptr);
    if (d.pooled)  // as of one group
      reference::batch_norm(t[0], t[1], t[2], residual, {}, &t[3], &t[4]);
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

// x as part of a batch: statistics and backward statistics are those of the
// whole, given as data [1, 2C+1]; y = relu(...).
inline OpCase combined_batch_norm_case(std::int64_t rows, std::int64_t channels,
                                       bool residual) {
  OpCase c;
  c.name = fmt::format("batch_norm combined [{},{}]{}", rows, channels,
                       residual ? " residual" : "");
  Array forward({1, 2 * channels + 1}), backward({1, 2 * channels + 1});
  const Array noise = uniform("combined", {4 * channels});
  const double count = static_cast<double>(3 * rows);
  for (std::int64_t j = 0; j < channels; ++j) {
    const double mean = noise[j], var = 0.3 + 0.2 * noise[channels + j];
    forward[j] = mean * count;
    forward[channels + j] = (var + mean * mean) * count;
    backward[j] = noise[2 * channels + j] * count;
    backward[channels + j] = noise[3 * channels + j] * count;
  }
  forward[2 * channels] = backward[2 * channels] = count;
  c.tensors = {{uniform("bn/x", {rows, channels})},
               {uniform("gamma", {channels}, 1, 1)},
               {uniform("beta", {channels})},
               {forward, Role::kData, DType::kF64},
               {backward, Role::kData, DType::kF64}};
  c.tensors[1].wide = c.tensors[2].wide = true;
  if (residual) c.tensors.push_back({uniform("residual", {rows, channels})});
  const BatchNormSpec spec{.relu = true};
  c.record = [=](Graph& g, Values v) {
    // Called for the forward pass first.
    const auto calls = std::make_shared<int>(0);
    return batch_norm(g, v[0], v[1], v[2], {}, {},
                      residual ? v.back() : Value{}, spec,
                      [calls, v3 = v[3], v4 = v[4]](Graph&, Value) {
                        return (*calls)++ == 0 ? v3 : v4;
                      });
  };
  c.reference = [=](CaseResult& r, const Array& dy) {
    const auto& t = r.tensors;
    r.y = t[0];
    for (const std::size_t i : {0, 1, 2}) r.gradients[i] = t[i];
    if (residual) r.gradients.back() = t[0];
    for (std::int64_t j = 0; j < channels; ++j) {
      const double mean = forward[j] / count;
      const double invstd = 1 / std::sqrt(forward[channels + j] / count -
                                          mean * mean + spec.epsilon);
      double sum = 0, product = 0;
      for (std::int64_t i = j; i < rows * channels; i += channels) {
        const double xhat = (t[0][i] - mean) * invstd;
        const double y =
            xhat * t[1][j] + t[2][j] + (residual ? t.back()[i] : 0);
        const double d = y > 0 ? dy[i] : 0;
        r.y[i] = std::max(0.0, y);
        r.gradients[0][i] =
            t[1][j] * invstd *
            (d - (backward[j] + xhat * backward[channels + j]) / count);
        if (residual) r.gradients.back()[i] = d;
        sum += d, product += d * xhat;
      }
      r.gradients[1][j] = product, r.gradients[2][j] = sum;
    }
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
  // Several chunks of rows and tiles of channels of every backend.
  for (const int groups : {1, 2})
    cases.push_back(batch_norm_case({.dims = {300, 264},
                                     .groups = groups,
                                     .relu = true,
                                     .residual = true,
                                     .uses = groups},
                                    false));
  for (const Dims& dims :
       std::initializer_list<Dims>{{6, 3, 3, 33}, {12, 300}})
    for (const int groups : {1, 3})
      cases.push_back(batch_norm_case(
          {.dims = dims, .groups = groups, .pooled = true}, false));
  for (const bool residual : {false, true})
    for (const std::int64_t channels : {5, 16})
      cases.push_back(combined_batch_norm_case(12, channels, residual));
  // x far from 0: sums of squares alone would lose the variance.
  cases.push_back(batch_norm_case(
      {.dims = {2, 16, 16, 3}, .groups = 2, .mean = 1e3}, false));
  cases.push_back(
      batch_norm_case({.dims = {2, 40, 40, 16}, .mean = 1e3}, false));
  cases.push_back(
      batch_norm_case({.dims = {512, 33}, .relu = true, .mean = -1e3}, false));
  for (const bool relu : {false, true})
    for (const bool residual : {false, true})
      for (const std::int64_t channels : {3, 64, 100})
        cases.push_back(batch_norm_case(
            {{2, 5, 3, channels}, 1, relu, residual}, true));
}

}  // namespace music::test
