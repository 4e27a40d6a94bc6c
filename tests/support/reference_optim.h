#pragma once
// Reference optimiser steps on one parameter (contract: engine/optim/lars.h,
// sgd.h). shape.size() is the rank that decides what a parameter is.

#include <cmath>

#include "engine/optim/optimizer_spec.h"
#include "tests/support/reference_array.h"

namespace music::reference {

inline double euclidean(const Array& a) {
  double sum = 0;
  for (double v : a.data) sum += v * v;
  return std::sqrt(sum);
}

inline void lars_step(const OptimizerSpec& spec, double rate, const Array& grad,
                      Array& value, Array& momentum) {
  Array d = grad;
  if (value.shape.size() != 1) {
    for (std::int64_t i = 0; i < d.size(); ++i)
      d[i] += spec.weight_decay * value[i];
    const double p_norm = euclidean(value), d_norm = euclidean(d);
    if (p_norm > 0 && d_norm > 0)
      for (double& v : d.data) v *= spec.eta * p_norm / d_norm;
  } else {
    rate *= spec.lr_1d;
  }
  for (std::int64_t i = 0; i < d.size(); ++i) {
    momentum[i] = spec.momentum * momentum[i] + d[i];
    value[i] -= rate * momentum[i];
  }
}

inline void sgd_step(const OptimizerSpec& spec, double rate, const Array& grad,
                     Array& value, Array& momentum) {
  const bool flat = value.shape.size() == 1;
  const double decay = flat && !spec.decay_1d ? 0 : spec.weight_decay;
  if (flat) rate *= spec.lr_1d;
  for (std::int64_t i = 0; i < value.size(); ++i) {
    const double d = grad[i] + decay * value[i];
    momentum[i] = spec.momentum * momentum[i] + d;
    value[i] -=
        rate * (spec.nesterov ? d + spec.momentum * momentum[i] : momentum[i]);
  }
}

// The target network, behind the step (update_state.h).
inline void follow(double momentum, const Array& value, Array& target) {
  for (std::int64_t i = 0; i < value.size(); ++i)
    target[i] = momentum * target[i] + (1 - momentum) * value[i];
}

inline void optimizer_step(const OptimizerSpec& spec, double rate,
                           const Array& grad, Array& value, Array& momentum) {
  (spec.kind == OptimizerKind::kLars ? lars_step : sgd_step)(spec, rate, grad,
                                                             value, momentum);
}

}  // namespace music::reference
