#pragma once
// Reference batch normalisation (contract: engine/ops/batch_norm.h).

#include <cmath>

#include "engine/ops/batch_norm.h"
#include "tests/support/reference_array.h"

namespace music::reference {

struct BatchNormResult {
  Array y;              // x's shape
  Array mean, inv_std;  // [groups,C]
};

// Rows of one group times channels: calls f(group, channel, element).
template <typename F>
void for_each_element(const Array& x, int groups, F f) {
  const std::int64_t channels = x.shape.back();
  for (std::int64_t i = 0; i < x.size(); ++i)
    f(i / (x.size() / groups), i % channels, i);
}

// residual, running_mean and running_var may be null; the running statistics
// [C] are updated, once per group in order. With one value a channel in a
// group, the unbiased variance is taken to be the biased one, 0.
inline BatchNormResult batch_norm(const Array& x, const Array& gamma,
                                  const Array& beta, const Array* residual,
                                  const BatchNormSpec& spec,
                                  Array* running_mean = nullptr,
                                  Array* running_var = nullptr) {
  const std::int64_t channels = x.shape.back();
  const double n = static_cast<double>(x.size() / channels / spec.groups);
  Array mean({spec.groups, channels}), var = mean, inv_std = mean, y(x.shape);
  for_each_element(x, spec.groups, [&](auto g, auto c, auto i) {
    mean[g * channels + c] += x[i] / n;
  });
  for_each_element(x, spec.groups, [&](auto g, auto c, auto i) {
    const double d = x[i] - mean[g * channels + c];
    var[g * channels + c] += d * d / n;
  });
  for (std::int64_t j = 0; j < var.size(); ++j) {
    inv_std[j] = 1 / std::sqrt(var[j] + spec.epsilon);
    if (!running_mean) continue;
    const std::int64_t c = j % channels;
    const double unbiased = n > 1 ? var[j] * n / (n - 1) : var[j];
    const auto update = [&](double& value, double batch) {
      value = (1 - spec.momentum) * value + spec.momentum * batch;
    };
    update((*running_mean)[c], mean[j]);
    update((*running_var)[c], unbiased);
  }
  for_each_element(x, spec.groups, [&](auto g, auto c, auto i) {
    const std::int64_t j = g * channels + c;
    y[i] = (x[i] - mean[j]) * inv_std[j] * gamma[c] + beta[c];
    if (residual) y[i] += (*residual)[i];
    if (spec.relu && y[i] < 0) y[i] = 0;
  });
  return {y, mean, inv_std};
}

inline Array batch_norm_inference(const Array& x, const Array& gamma,
                                  const Array& beta, const Array& running_mean,
                                  const Array& running_var,
                                  const Array* residual,
                                  const BatchNormSpec& spec) {
  Array y(x.shape);
  for_each_element(x, 1, [&](auto, auto c, auto i) {
    y[i] = (x[i] - running_mean[c]) / std::sqrt(running_var[c] + spec.epsilon) *
               gamma[c] +
           beta[c];
    if (residual) y[i] += (*residual)[i];
    if (spec.relu && y[i] < 0) y[i] = 0;
  });
  return y;
}

struct BatchNormGradients {
  Array dx, dgamma, dbeta;
  Array dresidual;  // dy behind the ReLU; the residual's, where there is one
};

inline BatchNormGradients batch_norm_backward(const Array& x,
                                              const Array& gamma,
                                              const BatchNormResult& forward,
                                              const Array& dy,
                                              const BatchNormSpec& spec) {
  const std::int64_t channels = x.shape.back();
  const double n = static_cast<double>(x.size() / channels / spec.groups);
  BatchNormGradients out{Array(x.shape), Array({channels}), Array({channels}),
                         dy};
  Array sum({spec.groups, channels}), sum_xhat = sum;
  const auto xhat = [&](auto j, auto i) {
    return (x[i] - forward.mean[j]) * forward.inv_std[j];
  };
  for_each_element(x, spec.groups, [&](auto g, auto c, auto i) {
    if (spec.relu && forward.y[i] <= 0) out.dresidual[i] = 0;
    const std::int64_t j = g * channels + c;
    sum[j] += out.dresidual[i];
    sum_xhat[j] += out.dresidual[i] * xhat(j, i);
  });
  for (std::int64_t j = 0; j < sum.size(); ++j) {
    out.dbeta[j % channels] += sum[j];
    out.dgamma[j % channels] += sum_xhat[j];
  }
  for_each_element(x, spec.groups, [&](auto g, auto c, auto i) {
    const std::int64_t j = g * channels + c;
    out.dx[i] = gamma[c] * forward.inv_std[j] *
                (out.dresidual[i] - sum[j] / n - xhat(j, i) * sum_xhat[j] / n);
  });
  return out;
}

}  // namespace music::reference
