#pragma once
// What the MUSIC loss does to each sample on the GPU: invariance between the
// views, the diagonal of P, softmax backward.

#include <cstdint>

#include "music/loss/cuda/entropy_codes.h"
#include "music/loss/joint_entropy_spec.h"

namespace music::cuda {

struct SegmentLossArgs {
  const float* z;                 // [2N,D]
  const SegmentSoftmax* softmax;  // [2,N,S]
  const float* diagonal;          // [D], d (de DE) / d P_aa, over N
  // [2N,D]: d total / dz. On entry what TilePanels adds, if `entropy`, else
  // not read.
  float* dz;
  double* row_centre;      // [N], what centring added to sum P log, times N
  double* row_invariance;  // [N], sum over segments
  bool entropy;
  double entropy_scale;  // of what is in dz
  float invariance_scale;
  Invariance invariance;
  float inverse_temperature, clamp, log_clamp;
};

void segment_loss(const SegmentTable& segments, std::int64_t n,
                  const SegmentLossArgs& args, void* stream);

}  // namespace music::cuda
