#pragma once
// What a training step does beside network and method: what plans and the step
// itself share.

#include "data/augment_spec.h"
#include "engine/optim/optimizer_spec.h"

namespace music {

struct TrainingStepSpec {
  int image_size = 224;
  data::PixelStats pixels;
  OptimizerSpec optimizer;
};

}  // namespace music
