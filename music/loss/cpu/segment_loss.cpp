#include "music/loss/cpu/segment_loss.h"

#include <algorithm>
#include <cmath>

#include "music/loss/joint_entropy_math.h"

namespace music::cpu {

SoftmaxScale softmax(const float* z, std::int64_t size, float inverse_t,
                     float* p) {
  float max = z[0];
  for (std::int64_t d = 1; d < size; ++d) max = z[d] > max ? z[d] : max;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t d = 0; d < size; ++d) {
    p[d] = loss_exp((z[d] - max) * inverse_t);
    sum += p[d];
  }
  const float inverse_sum = 1.0f / sum;
#pragma omp simd
  for (std::int64_t d = 0; d < size; ++d) p[d] *= inverse_sum;
  return {max, std::log(sum)};
}

void log_softmax(const float* z, const JointEntropySpec& spec,
                 const SegmentView& v) {
  const float inverse_t = static_cast<float>(1 / spec.temperature);
  const float clamp = static_cast<float>(spec.clamp);
  const float log_clamp = static_cast<float>(std::log(spec.clamp));
  const SoftmaxScale scale = softmax(z, v.size, inverse_t, v.p);
#pragma omp simd
  for (std::int64_t d = 0; d < v.size; ++d) {
    const float log_p = (z[d] - scale.max) * inverse_t - scale.log_sum;
    v.log_q[d] = clamped_log(v.p[d], log_p, clamp, log_clamp);
  }
}

double invariance(Invariance form, float scale, const SegmentView& a,
                  const SegmentView& b) {
  const std::int64_t size = a.size;
  float sum = 0;
  switch (form) {
    case Invariance::kInner: {  // log sum exp(log q' + log q'')
      float max = a.log_q[0] + b.log_q[0];
      for (std::int64_t d = 1; d < size; ++d) {
        const float x = a.log_q[d] + b.log_q[d];
        max = x > max ? x : max;
      }
#pragma omp simd reduction(+ : sum)
      for (std::int64_t d = 0; d < size; ++d) {
        a.h[d] = loss_exp(a.log_q[d] + b.log_q[d] - max);
        sum += a.h[d];
      }
      const float share = scale / sum;
#pragma omp simd
      for (std::int64_t d = 0; d < size; ++d) b.h[d] = a.h[d] *= share;
      return -(static_cast<double>(max) + std::log(static_cast<double>(sum)));
    }
    case Invariance::kEq4:
#pragma omp simd reduction(+ : sum)
      for (std::int64_t d = 0; d < size; ++d) {
        a.h[d] = b.h[d] = scale;
        sum += a.log_q[d] + b.log_q[d];
      }
      break;
    case Invariance::kXent:
#pragma omp simd reduction(+ : sum)
      for (std::int64_t d = 0; d < size; ++d) {
        const float x = a.q[d] * b.log_q[d];
        a.h[d] = scale * x;
        b.h[d] = scale * a.q[d];
        sum += x;
      }
      break;
    case Invariance::kNone:
      std::fill_n(a.h, size, 0.0f);
      std::fill_n(b.h, size, 0.0f);
      break;
  }
  return -static_cast<double>(sum);
}

void segment_backward(const JointEntropySpec& spec, const SegmentView& v,
                      const float* other_q, const float* diagonal,
                      float entropy_scale, float shift, float* dz) {
  const float clamp = static_cast<float>(spec.clamp);
  const float inverse_t = static_cast<float>(1 / spec.temperature);
  float sum = 0, lost = 0;
#pragma omp simd reduction(+ : sum, lost)
  for (std::int64_t d = 0; d < v.size; ++d) {
    const float dq = entropy_scale * dz[d] + diagonal[d] * other_q[d];
    const float h = weighted_gradient(v.p[d], clamp, v.h[d], dq);
    v.h[d] = h;
    sum += h;
    lost += v.p[d] < clamp ? v.p[d] : 0.0f;
  }
#pragma omp simd
  for (std::int64_t d = 0; d < v.size; ++d)
    dz[d] = softmax_backward(v.h[d], v.p[d], clamp, sum, lost, shift, inverse_t);
}

}  // namespace music::cpu
