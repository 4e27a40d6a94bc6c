#pragma once
// The MUSIC loss as one graph node (paper eq. 2-5; docs/numerics.md). The
// gradient is formed in the forward pass; backward scales it.

#include "engine/ops/kernel.h"
#include "music/coding.h"
#include "music/joint_entropy_spec.h"

namespace music {

struct JointEntropyValues {
  Value total;   // [1]
  Value terms;   // f64 [4]: DE, OE, TI, total
  Value mean_q;  // [2,D]: mean code of each view over the batch
};

// z [2N,D]: logits of view 1, then of view 2. terms and mean_q are kept.
JointEntropyValues joint_entropy(Graph& graph, Value z, const Segments& segments,
                                 const JointEntropySpec& spec);

// in: z; out: total [1], dz [2N,D], terms f64 [4], mean_q [2,D]
MUSIC_KERNEL(make_joint_entropy, Segments, JointEntropySpec)

}  // namespace music
