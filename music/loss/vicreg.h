#pragma once
// The VICReg loss as one graph node (Bardes et al., 2022; as their code, not
// their paper, weighs it). The gradient is formed in the forward pass; backward
// scales it.
//
// With x, y the views' embeddings [N,D] and C(x) the covariance of x:
//   invariance  mean over N and D of (x - y)^2
//   variance    (v(x) + v(y)) / 2, v = mean over units of
//               max(0, 1 - sqrt(var + epsilon)): the paper prints no half
//   covariance  c(x) + c(y), c = sum over a != b of C_ab^2, over D
// Variances and covariances are of the whole batch and divided by N - 1, with N
// its true number of samples: a last batch that is short is a batch like any
// other, where the authors' code divides its covariance by the configured N - 1.

#include "engine/ops/kernel.h"
#include "music/loss/gradients.h"
#include "music/loss/shared_batch.h"
#include "music/loss/vicreg_spec.h"

namespace music {

struct VicregValues {
  Value total;      // [1]
  Value terms;      // f64 [4]: invariance, variance, covariance, without
                    // coefficients; total
  Value deviation;  // [2,D]: sqrt(var + epsilon) of each unit, by view
};

// z [2N,D] F32: view 1, then view 2, of this process's samples; at least 2 in
// the batch. terms and deviation, of the whole batch, are kept. codes: F32, or
// on a GPU F16, which changes nothing: covariances are small numbers beside the
// products that they are sums of, so the products are fp32 either way.
VicregValues vicreg(Graph& graph, Value z, const VicregSpec& spec,
                    const SharedBatch& batch = {}, DType codes = DType::kF32);

// Of a covariance, that are wanted.
inline Gradients gradients_of(const VicregSpec& s) {
  return s.covariance != 0 ? Gradients::kB : Gradients::kNone;
}

// in: z; out: total [1], dz [2N,D], terms f64 [4], deviation [2,D]
MUSIC_KERNEL(make_vicreg, VicregSpec, SharedBatch, DType)

}  // namespace music
