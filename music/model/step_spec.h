#pragma once
// What a training step does beside network and method: what plans and the step
// itself share.

#include <cstdint>

#include "data/augment_spec.h"
#include "engine/optim/optimizer_spec.h"

namespace music {

struct TrainingStepSpec {
  int image_size = 224;
  data::PixelStats pixels;
  OptimizerSpec optimizer;
  // Samples of all processes that pass the network at once; 0: the batch.
  std::int64_t micro_batch = 0;
};

}  // namespace music
