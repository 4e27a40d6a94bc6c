#pragma once
// Softmax over contiguous segments of the last axis (paper eq. 1):
// q[m, s, d] = exp(z[m,s,d] / t) / sum_d' exp(z[m,s,d'] / t).

#include <cstdint>
#include <vector>

#include "engine/ops/kernel.h"

namespace music {

struct SegmentSoftmaxSpec {
  // S+1 boundaries: 0 = begin[0] < ... < begin[S] = D.
  std::vector<std::int64_t> begin;
  double temperature = 1;
};

// z [M,D] -> q [M,D]
Value segment_softmax(Graph& graph, Value z, const SegmentSoftmaxSpec& spec);

MUSIC_KERNEL(make_segment_softmax_forward, SegmentSoftmaxSpec)   // in: z; out: q
MUSIC_KERNEL(make_segment_softmax_backward, SegmentSoftmaxSpec)  // in: dq, q; out: dz

}  // namespace music
