#pragma once
// The MUSIC loss and its gradient on the GPU, never holding D x D.
//
// Workspace: the codes of both views [2N,D], what PanelWidths says and about
// 1/8 of the codes beside. N 2048, D 8160, F16 codes: 67 + 100 + 12 MB; the
// matrix P alone would be 266 MB. Where processes share a batch, n of N samples
// each: codes [2n,D], and what TileSlabs says.

#include <memory>

#include "engine/ops/kernel.h"
#include "music/loss/cuda/tile_panels.h"
#include "music/loss/joint_entropy.h"
#include "music/loss/segments.h"

namespace music::cuda {

// As the factory of music/loss/joint_entropy.h, with panels of these widths: tests
// want several panels of a small P.
std::unique_ptr<Kernel> make_joint_entropy(const KernelRequest& request,
                                           Segments segments,
                                           JointEntropySpec spec,
                                           SharedBatch batch, DType codes,
                                           PanelWidths widths);

}  // namespace music::cuda
