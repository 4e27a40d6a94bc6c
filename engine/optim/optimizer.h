#pragma once
// Optimisers over the flat parameter block. State (momentum) lives in
// Parameters, so a checkpoint needs nothing else.

#include <memory>

#include "engine/graph/parameters.h"
#include "engine/optim/optimizer_spec.h"

namespace music {

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // One update of every parameter from its gradient, at learning rate `rate`.
  virtual void step(double rate) = 0;
};

// LARS or SGD by spec.kind. parameters must be allocated for training and
// outlive the optimiser.
std::unique_ptr<Optimizer> make_optimizer(Parameters& parameters,
                                          const OptimizerSpec& spec);

}  // namespace music
