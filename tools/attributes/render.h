#pragma once
// From factors to pixels.

#include "data/image.h"
#include "engine/core/rng.h"
#include "tools/attributes/factors.h"

namespace music {

// size x size pixels. Antialiased: 2 x 2 samples a pixel and soft edges.
// nuisance: nuisance_rng() of the image.
data::Image render_attribute_image(const ImageFactors& factors, int size,
                                   Rng nuisance);

}  // namespace music
