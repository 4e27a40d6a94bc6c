#pragma once
// Per-element update rules and the walk over blocks of parameters that LARS
// and SGD share.

#include <math.h>  // sqrt: the name that is on both sides

#include <cstdint>
#include <vector>

#include "engine/core/host_device.h"
#include "engine/graph/parameters.h"
#include "engine/optim/optimizer_spec.h"
#include "engine/optim/update_state.h"

namespace music {

// p -= rate * mu with mu = momentum * mu + trust * (g + decay * p); with
// Nesterov p -= rate * (d + momentum * mu), d = trust * (g + decay * p).
struct UpdateRule {
  float rate, momentum, trust, decay;
  bool nesterov;
  bool still;  // not to be applied: value and momentum stay

  MUSIC_HOST_DEVICE void operator()(float& p, float g, float& mu) const {
    const float d = trust * (g + decay * p);
    mu = momentum * mu + d;
    p -= rate * (nesterov ? d + momentum * mu : mu);
  }
};

// One element of the target network, behind its value's update.
MUSIC_HOST_DEVICE inline void follow(float& target, float value,
                                     float momentum) {
  target += (1 - momentum) * (value - target);
}

// What decides a parameter's rule, of its ParameterInfo.
struct RuleOf {
  int group;
  bool matrix;  // of rank > 1
  bool decays;

  RuleOf() = default;
  explicit RuleOf(const ParameterInfo& p)
      : group(p.group), matrix(p.shape.rank() > 1), decays(p.decays) {}
};

MUSIC_HOST_DEVICE inline float weight_decay(const OptimizerSpec& spec,
                                            const UpdateState& state,
                                            const RuleOf& of) {
  const bool lars = spec.kind == OptimizerKind::kLars;
  if (!of.decays || !(of.matrix || (!lars && spec.decay_1d))) return 0;
  const UpdateKnobs::Decay& decay = state.knobs.decays[of.group];
  return decay.own ? decay.value : static_cast<float>(spec.weight_decay);
}

// The rule of one parameter. squares: of the Euclidean norms of p and of
// g + decay p, which LARS wants (lars.h).
MUSIC_HOST_DEVICE inline UpdateRule update_rule(const OptimizerSpec& spec,
                                                const UpdateState& state,
                                                const RuleOf& of,
                                                double square_of_value,
                                                double square_of_update) {
  const float rate = state.knobs.rates[of.group];
  const bool lars = spec.kind == OptimizerKind::kLars;
  const bool adapted =
      lars && of.matrix && square_of_value > 0 && square_of_update > 0;
  return {static_cast<float>(of.matrix ? rate : rate * spec.lr_1d),
          static_cast<float>(spec.momentum),
          adapted ? static_cast<float>(spec.eta * sqrt(square_of_value) /
                                       sqrt(square_of_update))
                  : 1.0f,
          weight_decay(spec, state, of), !lars && spec.nesterov,
          of.group > 0 && rate == 0};
}

// Up to so many elements of one parameter: the unit of work of a thread, or of
// a GPU's block of threads. Fixed by the parameters alone, so sums over blocks
// do not depend on the thread count.
struct ParameterBlock {
  int parameter;
  std::int64_t begin, end;  // offsets into the flat block
};

// In the order of the parameters, frozen ones left out; elements: a multiple of
// 16.
std::vector<ParameterBlock> parameter_blocks(const Parameters& parameters,
                                             std::int64_t elements = 65536);

// Applies rules[parameter] to every element; the target follows, if any.
void apply_update(Parameters& parameters,
                  const std::vector<ParameterBlock>& blocks,
                  const std::vector<UpdateRule>& rules, float target_momentum);

}  // namespace music
