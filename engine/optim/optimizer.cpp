#include "engine/optim/optimizer.h"

#include "engine/optim/lars.h"
#include "engine/optim/sgd.h"

namespace music {

std::unique_ptr<Optimizer> make_optimizer(Parameters& parameters,
                                          const OptimizerSpec& spec,
                                          const LossScaleSpec& scale) {
  if (parameters.device() == Device::kCuda)
    return cuda::make_optimizer(parameters, spec, scale);
  MUSIC_CHECK(!scale.dynamic, "[optimizer] the CPU has no loss scale");
  return spec.kind == OptimizerKind::kLars ? make_lars(parameters, spec)
                                           : make_sgd(parameters, spec);
}

}  // namespace music
