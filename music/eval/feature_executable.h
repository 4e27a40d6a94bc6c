#pragma once
// The frozen network, ready to run on batches of one size.

#include <cstdint>

#include "engine/graph/executable.h"
#include "music/model/model.h"

namespace music {

class FeatureExecutable {
 public:
  // batch: images of size x size; the model stays.
  FeatureExecutable(Model& model, std::int64_t batch, int size,
                    const data::PixelStats& pixels, FeatureKind kind);

  // Pixels of a whole batch on the host to the features of its first n images.
  void run(const void* pixels, std::int64_t n, float* features);

 private:
  Device device_;
  FeatureGraph graph_;
  Executable executable_;
  Buffer arena_, workspace_, pixels_;
};

}  // namespace music
