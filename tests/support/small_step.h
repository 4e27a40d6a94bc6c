#pragma once
// The smallest network with every kind of layer, and a training step of it.

#include <cstdint>
#include <utility>
#include <vector>

#include "music/train/training_step.h"

namespace music::test {

inline constexpr int kSize = 12;  // image side

// Segments of four.
inline ModelSpec small_model(std::vector<std::int64_t> projector) {
  ModelSpec spec{{.depth = 18,
                  .width = 4,
                  .stem = Stem::kCifar,
                  .zero_init_residual = false},
                 std::move(projector)};
  spec.method.of<Music>().segment = 4;
  return spec;
}

inline TrainingStepSpec small_step() {
  TrainingStepSpec spec;
  spec.image_size = kSize;
  spec.pixels.mean = {0.5f, 0.4f, 0.3f};
  spec.pixels.std = {0.2f, 0.25f, 0.3f};
  return spec;
}

}  // namespace music::test
