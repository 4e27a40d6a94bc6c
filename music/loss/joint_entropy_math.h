#pragma once
// Elementwise arithmetic of the joint-entropy loss, shared by its bodies.
// Branch-free on the CPU, so that loops over them vectorise.

#include <bit>
#include <cmath>
#include <cstdint>

#include "engine/core/host_device.h"

namespace music {

// P is floored here before its logarithm; P log P is 0 at P = 0 all the same.
inline constexpr float kMinP = 1e-37f;

// log x for normal x > 0; relative error below 2e-7.
MUSIC_HOST_DEVICE inline float loss_log(float x) {
#ifdef __CUDA_ARCH__
  return logf(x);
#else
  // x = m 2^e with m in [sqrt(1/2), sqrt(2)), so that x near 1 has e = 0 and
  // no cancellation; log m = f - f^2/2 + f^3 poly(f), f = m - 1.
  const std::int32_t bits = std::bit_cast<std::int32_t>(x) - 0x3F3504F3;
  const std::int32_t exponent = bits & ~0x7FFFFF;
  const float f =
      std::bit_cast<float>(std::bit_cast<std::int32_t>(x) - exponent) - 1.0f;
  const float e = static_cast<float>(exponent >> 23);
  float poly = 0.08700434527f;
  poly = poly * f - 0.1426748677f;
  poly = poly * f + 0.1491476823f;
  poly = poly * f - 0.165775847f;
  poly = poly * f + 0.1996306378f;
  poly = poly * f - 0.2500133704f;
  poly = poly * f + 0.3333391074f;
  const float f2 = f * f;
  // ln 2 in two parts; the first has few bits, so e times it is exact.
  return e * 0.693359375f + (f + (f2 * (f * poly - 0.5f) - e * 2.12194440e-4f));
#endif
}

// exp x for x <= 0; 0 below -87; NaN stays NaN. Relative error below 2e-7.
MUSIC_HOST_DEVICE inline float loss_exp(float x) {
#ifdef __CUDA_ARCH__
  return expf(x);
#else
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds
  const float shifted = x * 1.44269504f + kRound;
  const float k = shifted - kRound;
  const float r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
  float poly = 0.001381459848f;
  poly = poly * r + 0.008368716887f;
  poly = poly * r + 0.04166838805f;
  poly = poly * r + 0.1666652063f;
  poly = poly * r + 0.4999999345f;
  const float y = poly * r * r + r + 1.0f;
  const float scale = std::bit_cast<float>(
      (std::bit_cast<std::int32_t>(shifted) + 127) << 23);
  return x < -87.0f ? 0.0f : y * scale;
#endif
}

// log(max(P, floor) * scale), scale = D_s' D_s'': 0 where P is uniform, so its
// rounding is relative to the deviation from uniform. A constant added to a
// whole off-diagonal block of dL/dP moves no logit, but for clamped mass.
MUSIC_HOST_DEVICE inline float centred_log(float p, float scale) {
  return loss_log((p < kMinP ? kMinP : p) * scale);
}

// q = max(p, clamp); NaN stays NaN.
MUSIC_HOST_DEVICE inline float clamped(float p, float clamp) {
  return p < clamp ? clamp : p;
}

// log q from the softmax p and its logarithm; exact however small q is.
MUSIC_HOST_DEVICE inline float clamped_log(float p, float log_p, float clamp,
                                           float log_clamp) {
  return p < clamp ? log_clamp : log_p;
}

// What centred_log leaves out of dL/dq of one segment, over the weight of a
// block: 1 - log(D_s' D_s'') of each block, times the other view's mass of q
// there. total, log_total: sums over that view's segments of the mass and of
// mass log D_s; mass: of the segment itself, log_size: its log D_s.
MUSIC_HOST_DEVICE inline double missing_constants(double total,
                                                  double log_total, double mass,
                                                  double log_size) {
  return (1 - log_size) * (total - mass) - (log_total - mass * log_size);
}

// q dL/dq of one unit: 0 where q is clamped. h: the part of the invariance, dq:
// the rest of dL/dq.
MUSIC_HOST_DEVICE inline float weighted_gradient(float p, float clamp, float h,
                                                 float dq) {
  return p < clamp ? 0.0f : h + p * dq;
}

// dz of one unit from h = weighted_gradient() and its segment sum. `shift` is a
// part of dL/dq that is constant over the segment: it cancels in the softmax
// but for what the clamp holds back (`lost`, the sum of p < clamp), and added
// to dq it would only cost digits.
MUSIC_HOST_DEVICE inline float softmax_backward(float h, float p, float clamp,
                                                float sum, float lost,
                                                float shift,
                                                float inverse_temperature) {
  const float left = p < clamp ? lost - 1.0f : lost;
  return (h - p * (sum - shift * left)) * inverse_temperature;
}

}  // namespace music
