#pragma once
// What one update is told and what it tells, and the rule of the loss scale
// (fp16 gradients underflow without one; Micikevicius et al. 2018, and
// PyTorch's GradScaler for the constants).

#include <cstdint>

#include "engine/core/host_device.h"
#include "engine/graph/parameters.h"

namespace music {

struct LossScaleSpec {
  bool dynamic = false;  // false: the scale stays what it is
  float initial = 65536;
  float growth = 2, backoff = 0.5f;
  std::int32_t interval = 2000;  // steps without overflow before it grows
};

// What an update is told each step.
struct UpdateKnobs {
  // Learning rate of each group of parameters. A group but the first stays as it
  // is at 0, momentum and decay too (SwAV's prototypes while they are frozen);
  // the first gathers momentum: a warm-up starts there.
  float rates[kMostGroups] = {};
  // A group's own weight decay in place of the optimiser's.
  struct Decay {
    bool own = false;
    float value = 0;
  };
  Decay decays[kMostGroups] = {};
  // tau of the target network, where there is one, which becomes
  // tau target + (1 - tau) value once the value has moved.
  float target_momentum = 1;

  // The same rate for every group.
  void set_rate(float rate) {
    for (float& r : rates) r = rate;
  }
};

// Lies in memory of the parameters' device, so that a captured step reads and
// writes it there.
struct UpdateState {
  UpdateKnobs knobs = {};  // in
  float loss_scale = 1;  // in: gradients come multiplied by it; out: the next
  std::int32_t applied = 0;     // out: 1: updated; 0: the loss or a gradient was
                                // not finite, nothing moved
  std::int32_t good_steps = 0;  // updates since loss_scale changed
};

// Ends a step: records whether it was applied and moves the scale.
MUSIC_HOST_DEVICE inline void finish_update(UpdateState& state, bool applied,
                                            const LossScaleSpec& spec) {
  state.applied = applied ? 1 : 0;
  if (!spec.dynamic) return;
  if (!applied) {
    state.loss_scale *= spec.backoff;
    state.good_steps = 0;
  } else if (++state.good_steps == spec.interval) {
    state.loss_scale *= spec.growth;
    state.good_steps = 0;
  }
}

}  // namespace music
