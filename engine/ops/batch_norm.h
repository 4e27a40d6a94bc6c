#pragma once
// Batch normalisation over all axes but the last (channels), with an optional
// fused residual add and ReLU: y = relu((x - mean) * invstd * gamma + beta + r).
//
// groups: the leading axis is cut into that many equal consecutive parts, each
// normalised by its own statistics (MUSIC's two views); running statistics are
// updated once per group, in order: new = (1 - momentum) old + momentum batch,
// with the unbiased variance. Normalisation uses the biased one.
//
// Split as statistics | apply, so that processes can sum statistics between:
//   statistics: x -> [groups, 2C+1] f64: sums, sums of squares, count
//   backward statistics -> [groups, 2C+1] f64: sum dy', sum dy' xhat, count
// where dy' is dy behind the ReLU.

#include "engine/ops/kernel.h"

namespace music {

struct BatchNormSpec {
  int groups = 1;
  bool relu = false;
  double epsilon = 1e-5;
  double momentum = 0.1;
};

// x [..., C]; gamma, beta [C]; running_mean, running_var [C] buffers, or both
// invalid: then none are kept. residual: x's shape, or invalid.
Value batch_norm(Graph& graph, Value x, Value gamma, Value beta,
                 Value running_mean, Value running_var, Value residual,
                 BatchNormSpec spec);

// Evaluation: normalises by the running statistics; no gradient.
Value batch_norm_inference(Graph& graph, Value x, Value gamma, Value beta,
                           Value running_mean, Value running_var,
                           Value residual, BatchNormSpec spec);

// Shape of a fused op: which optional tensors are present.
struct BatchNormForm {
  BatchNormSpec spec;
  bool residual = false;
  bool running = false;  // running statistics are inputs, updated in place
  int parts = 1;         // backward: dy arrives in this many parts (1 or 2)
};

// in: x; out: stats
MUSIC_KERNEL(make_batch_norm_statistics, BatchNormForm)
// in: x, stats, gamma, beta, [running_mean, running_var], [residual]
// out: y, saved f32 [groups,2,C] (mean, invstd)
MUSIC_KERNEL(make_batch_norm_apply, BatchNormForm)
// in: x, gamma, beta, running_mean, running_var, [residual]; out: y
MUSIC_KERNEL(make_batch_norm_inference, BatchNormForm)
// in: dy, [dy2], x, [y if relu], saved; out: stats, [dy' unless it equals dy]
MUSIC_KERNEL(make_batch_norm_backward_statistics, BatchNormForm)
// in: dy', x, saved, stats, gamma; out: dx, dgamma, dbeta
MUSIC_KERNEL(make_batch_norm_backward_apply, BatchNormForm)

}  // namespace music
