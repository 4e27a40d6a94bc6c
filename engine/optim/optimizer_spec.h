#pragma once
// What an optimiser step is; see lars.h and sgd.h for the update rules.

namespace music {

enum class OptimizerKind { kLars, kSgd };

struct OptimizerSpec {
  OptimizerKind kind = OptimizerKind::kLars;
  double momentum = 0.9;
  double weight_decay = 1e-6;
  double eta = 1e-3;        // LARS trust coefficient
  double lr_1d = 1.0;       // rate multiplier of 1-D parameters (biases, BN)
  bool decay_1d = false;    // weight decay on 1-D parameters too (plain SGD)
  bool nesterov = false;    // SGD only
};

}  // namespace music
