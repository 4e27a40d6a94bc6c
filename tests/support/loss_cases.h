#pragma once
// Logits and settings on which bodies of the MUSIC loss are compared with
// reference_loss.h.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "engine/core/rng.h"
#include "music/loss/joint_entropy_spec.h"
#include "music/loss/segments.h"

namespace music::test {

inline std::vector<float> logits(std::int64_t n, const Segments& segments,
                                 double scale, std::uint32_t stream) {
  Rng rng(1, RngPurpose::kTest, stream);
  std::vector<float> z(static_cast<std::size_t>(n * segments.units()));
  for (float& v : z) v = static_cast<float>(scale * rng.normal());
  return z;
}

// A view that agrees with z on most units, as a trained network's do.
inline std::vector<float> second_view(const std::vector<float>& z,
                                      double scale) {
  Rng rng(2, RngPurpose::kTest);
  std::vector<float> out(z);
  for (float& v : out) v += static_cast<float>(scale * rng.normal());
  return out;
}

// Every option, and clamps and coefficients that matter.
inline std::vector<JointEntropySpec> loss_specs() {
  std::vector<JointEntropySpec> specs;
  for (auto norm : {EntropyNorm::kEq5, EntropyNorm::kEq3})
    for (auto form : {Invariance::kInner, Invariance::kEq4, Invariance::kXent,
                      Invariance::kNone}) {
      JointEntropySpec spec;
      spec.norm = norm;
      spec.invariance = form;
      specs.push_back(spec);
      spec.de = 0.5, spec.oe = 2, spec.ti = 3;
      spec.temperature = 0.25;
      specs.push_back(spec);
      spec.clamp = 1e-2;
      specs.push_back(spec);
    }
  specs.push_back({.oe = 0});
  specs.push_back({.de = 0, .ti = 0});
  return specs;
}

// Block weights of all kinds, not symmetric: 0, below 0, whole and not.
inline std::vector<double> block_weights(std::int64_t segments) {
  const double kinds[] = {1, 0, -0.5, 2, 1, 0.25, -1};
  std::vector<double> w;
  for (std::int64_t s = 0; s < segments; ++s)
    for (std::int64_t t = 0; t < segments; ++t)
      w.push_back(kinds[static_cast<std::size_t>((3 * s + t) % 7)]);
  return w;
}

inline std::vector<double> widen(const std::vector<float>& v) {
  return {v.begin(), v.end()};
}

// Bounds of a gradient, by norm. With F16 codes q', q'', G and what is left of
// them between two products are rounded to 2^-11 each.
inline constexpr double kLossGradient = 1e-5, kLossGradientF16 = 4 * 0x1p-11;

// |value - expected| / |expected|, with floor 1.
inline double error_of(double value, double expected) {
  return std::abs(value - expected) / std::max(1.0, std::abs(expected));
}

}  // namespace music::test
