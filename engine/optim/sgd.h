#pragma once
// Momentum SGD as torch.optim.SGD: d = g + wd p; mu = m mu + d; p -= lr mu
// (Nesterov: p -= lr (d + m mu)). Weight decay falls on 1-D parameters only
// with decay_1d, which is what torch does by default.

#include <memory>

#include "engine/optim/optimizer.h"

namespace music {

std::unique_ptr<Optimizer> make_sgd(Parameters& parameters,
                                    const OptimizerSpec& spec);

}  // namespace music
