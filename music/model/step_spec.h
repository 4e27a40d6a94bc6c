#pragma once
// What a training step does, apart from the network: what plans and the step
// itself share.

#include "data/augment_spec.h"
#include "engine/optim/optimizer_spec.h"
#include "music/loss/joint_entropy_spec.h"
#include "music/loss/segments.h"

namespace music {

struct TrainingStepSpec {
  int image_size = 224;
  data::PixelStats pixels;
  Segments segments = Segments::equal(8160, 80);
  JointEntropySpec loss;
  OptimizerSpec optimizer;
};

}  // namespace music
