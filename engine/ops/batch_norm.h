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
// where dy' is dy behind the ReLU. A StatisticsHook is called with each of the
// two, and what it returns is applied.
//
// x may be F32, F16 or BF16; everything a channel has one of is F32 or F64.

#include "engine/ops/kernel.h"
#include "engine/ops/statistics_hook.h"

namespace music {

struct BatchNormSpec {
  int groups = 1;
  bool relu = false;
  double epsilon = 1e-5;
  double momentum = 0.1;
};

// x [..., C]; gamma, beta [C]; running_mean, running_var [C] buffers, or both
// invalid: then none are kept. residual: x's shape, or invalid. combine: null
// for the statistics of x alone; the gradients of gamma and beta are x's share
// all the same. running: null for running statistics as above; else they move once,
// by what it makes of the statistics of x alone, all groups together.
Value batch_norm(Graph& graph, Value x, Value gamma, Value beta,
                 Value running_mean, Value running_var, Value residual,
                 BatchNormSpec spec, const StatisticsHook& combine = nullptr,
                 const StatisticsHook& running = nullptr);

// Evaluation: normalises by the running statistics; no gradient.
Value batch_norm_inference(Graph& graph, Value x, Value gamma, Value beta,
                           Value running_mean, Value running_var,
                           Value residual, BatchNormSpec spec);

// Shape of a fused op: which optional tensors are present.
struct BatchNormForm {
  BatchNormSpec spec;
  bool residual = false;
  bool running = false;  // running statistics are inputs, updated in place
  bool mask = false;     // the ReLU is remembered as bits: backward reads those
                         // rather than y (a GPU's choice: 1/16 of the traffic)
  int parts = 1;         // backward: dy arrives in this many parts (1 or 2)
  bool masked_dy = false;  // backward: dy' is written, because it is a sum, or
                           // the residual's gradient, or there is no mask
  bool remask = false;     // backward: where the ReLU was open is formed anew from x,
                           // which no other pass than that over x has to read or
                           // write for (a CPU's choice, where there is no residual)
  bool combined = false;   // backward: stats were combined; those of x alone,
                           // for dgamma and dbeta, are the last input
};

// The mask of n elements: u8 [ceil(n / 8)], bit i % 8 of byte i / 8 is set
// where element i of y is above 0; bits behind the last element are 0.

// in: x; out: stats
MUSIC_KERNEL(make_batch_norm_statistics, BatchNormForm)
// in: x, stats, gamma, beta, [running_mean, running_var], [residual]
// out: y, saved f32 [groups,2,C] (mean, invstd), [mask]
MUSIC_KERNEL(make_batch_norm_apply, BatchNormForm)
// in: x, gamma, beta, running_mean, running_var, [residual]; out: y
MUSIC_KERNEL(make_batch_norm_inference, BatchNormForm)
// in: dy, [dy2], x, [mask, or y if relu without one; forward's stats, gamma, beta if
// remask], saved
// out: stats, [dy' if masked_dy]
MUSIC_KERNEL(make_batch_norm_backward_statistics, BatchNormForm)
// in: dy' (dy, with relu but without masked_dy), x, saved, stats, gamma, [mask
// if relu without masked_dy; forward's stats, beta if remask], [own stats if
// combined]; out: dx, dgamma, dbeta
MUSIC_KERNEL(make_batch_norm_backward_apply, BatchNormForm)

}  // namespace music
