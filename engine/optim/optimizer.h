#pragma once
// Optimisers over the flat parameter block. State (momentum) lives in
// Parameters, so a checkpoint needs nothing else but the UpdateState.

#include <memory>

#include "engine/graph/parameters.h"
#include "engine/optim/optimizer_spec.h"
#include "engine/optim/update_state.h"

namespace music {

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // One update of every parameter from its gradient, of its target and of the
  // rounded values where there are any; nothing moves when a gradient or *loss (may be null)
  // is not finite. state and loss lie in memory of the parameters' device; on
  // a GPU the work is queued on `stream`, and may be captured.
  virtual void step(UpdateState* state, const float* loss, void* stream) = 0;
  // On the CPU, with gradients as they are. False: not finite.
  bool step(double rate) {
    UpdateState state;
    state.knobs.set_rate(static_cast<float>(rate));
    step(&state, nullptr, nullptr);
    return state.applied != 0;
  }
};

// LARS or SGD by spec.kind, for the parameters' device. parameters must be
// allocated for training and outlive the optimiser.
std::unique_ptr<Optimizer> make_optimizer(Parameters& parameters,
                                          const OptimizerSpec& spec,
                                          const LossScaleSpec& scale = {});

// Body for parameters on a GPU: engine/cuda.
namespace cuda {
std::unique_ptr<Optimizer> make_optimizer(Parameters& parameters,
                                          const OptimizerSpec& spec,
                                          const LossScaleSpec& scale);
}

}  // namespace music
