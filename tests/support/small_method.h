#pragma once
// Methods with heads as small as a test's network.

#include <cstdint>
#include <string>

#include "music/model/model.h"

namespace music::test {

// samples: of a full batch.
inline ModelSpec with_method(ModelSpec spec, const std::string& name,
                             std::int64_t samples) {
  spec.method.name = name;
  spec.samples = samples;
  spec.classes = 10;
  spec.method.of<SimSiam>().predictor = 12;
  spec.method.of<Byol>().predictor = 20;
  spec.method.of<MocoV2>().queue = 3 * samples;
  spec.method.of<MocoV2>().group = 0;
  spec.method.of<Swav>().prototypes = 30;
  return spec;
}

}  // namespace music::test
