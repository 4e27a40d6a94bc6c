#pragma once
// What the MUSIC loss does to one segment of one sample: softmax, invariance
// between the views, softmax backward. fp32; NaN in, NaN out.

#include <cstdint>

#include "music/loss/joint_entropy_spec.h"

namespace music::cpu {

// p = softmax of z / temperature, not clamped. Returns the maximum of z and the
// logarithm of the sum of exp((z - max) / temperature).
struct SoftmaxScale {
  float max, log_sum;
};
SoftmaxScale softmax(const float* z, std::int64_t size, float inverse_t,
                     float* p);

// One segment of one view of one sample.
struct SegmentView {
  std::int64_t size;
  const float* q;        // clamped
  float *p, *log_q, *h;  // scratch: softmax, log q, q times d TI / d q
};

// Fills p and log_q. log q comes from the logits, not from q, so it is exact
// however small q is.
void log_softmax(const float* z, const JointEntropySpec& spec,
                 const SegmentView& v);

// Returns the segment's part of TI, not yet averaged, and fills h of both views
// with its gradient times `scale` (minus the coefficient, over N S).
double invariance(Invariance form, float scale, const SegmentView& a,
                  const SegmentView& b);

// dz from v.h and dL/dq = entropy_scale * dz + diagonal * other_q + shift; dz
// is replaced. Nothing passes where p < clamp.
void segment_backward(const JointEntropySpec& spec, const SegmentView& v,
                      const float* other_q, const float* diagonal,
                      float entropy_scale, float shift, float* dz);

}  // namespace music::cpu
