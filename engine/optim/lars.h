#pragma once
// LARS as VICReg, Barlow Twins and MUSIC run it. For a parameter p of rank > 1:
//   d = g + wd p;  q = eta ||p|| / ||d|| (1 if a norm is 0);
//   mu = m mu + q d;  p -= lr mu.
// 1-D parameters (biases, batch-norm) take plain momentum SGD without decay at
// lr * lr_1d. Norms are of the sum g + wd p, without epsilon or clipping.

#include <memory>

#include "engine/optim/optimizer.h"

namespace music {

std::unique_ptr<Optimizer> make_lars(Parameters& parameters,
                                     const OptimizerSpec& spec);

}  // namespace music
