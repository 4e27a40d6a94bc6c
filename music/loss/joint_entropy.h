#pragma once
// The MUSIC loss as one graph node (paper eq. 2-5; docs/numerics.md). The
// gradient is formed in the forward pass; backward scales it.

#include "engine/ops/kernel.h"
#include "music/loss/joint_entropy_spec.h"
#include "music/loss/segments.h"
#include "music/loss/shared_batch.h"

namespace music {

struct JointEntropyValues {
  Value total;   // [1]
  Value terms;   // f64 [4]: DE, OE, TI, total
  Value mean_q;  // [2,D]: mean code of each view over the batch
};

// z [2N,D] F32: logits of view 1, then of view 2, of this process's samples.
// terms and mean_q, of the whole batch, are kept. codes: as what q is
// multiplied, all else is fp32 or wider; kF16, on a GPU alone, leaves an error
// below 1e-3 in the gradient.
JointEntropyValues joint_entropy(Graph& graph, Value z, const Segments& segments,
                                 const JointEntropySpec& spec,
                                 const SharedBatch& batch = {},
                                 DType codes = DType::kF32);

// in: z; out: total [1], dz [2N,D], terms f64 [4], mean_q [2,D]
MUSIC_KERNEL(make_joint_entropy, Segments, JointEntropySpec, SharedBatch, DType)

}  // namespace music
