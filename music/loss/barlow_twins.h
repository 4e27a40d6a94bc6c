#pragma once
// The Barlow Twins loss as one graph node (Zbontar et al., 2021). The gradient
// is formed in the forward pass; backward scales it.
//
// Each unit of each view is normalised by its mean and its (biased) variance
// over the whole batch; c = the normalised views' cross-correlation [D,D], over
// the true N:
//   on-diagonal   sum over j of (c_jj - 1)^2
//   off-diagonal  sum over a != b of c_ab^2
// The gradient is exact, through the batch's statistics too, however many
// processes share the batch; the authors' code has 1 / processes of it.

#include "engine/ops/kernel.h"
#include "music/loss/barlow_twins_spec.h"
#include "music/loss/gradients.h"
#include "music/loss/shared_batch.h"

namespace music {

struct BarlowTwinsValues {
  Value total;      // [1]
  Value terms;      // f64 [3]: on-diagonal, off-diagonal, total
  Value deviation;  // [2,D]: sqrt(var + epsilon) of each unit, by view
};

// z [2N,D] F32: view 1, then view 2, of this process's samples. terms and
// deviation, of the whole batch, are kept. codes: as what normalised views are
// multiplied, all else is fp32 or wider; kF16 on a GPU alone.
BarlowTwinsValues barlow_twins(Graph& graph, Value z,
                               const BarlowTwinsSpec& spec,
                               const SharedBatch& batch = {},
                               DType codes = DType::kF32);

// Of the cross-correlation, that are wanted.
inline Gradients gradients_of(const BarlowTwinsSpec& s) {
  return s.lambda != 0 && s.scale != 0 ? Gradients::kBoth
                                        : Gradients::kNone;
}

// in: z; out: total [1], dz [2N,D], terms f64 [3], deviation [2,D]
MUSIC_KERNEL(make_barlow_twins, BarlowTwinsSpec, SharedBatch, DType)

}  // namespace music
