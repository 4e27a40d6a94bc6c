#pragma once
// The mask of a box on the image: a mask head's probabilities, side x side,
// stretched over the box.

#include <cstdint>
#include <span>

#include "music/detect/boxes.h"
#include "music/detect/rle.h"

namespace music::detect {

// Bilinear at pixel centres with zeros around the probabilities (so it fades
// over half a cell); a pixel is set from the threshold on. Equal to
// grid_sample(align_corners=False) >= threshold. The box is in the image's
// pixels and may reach beyond it.
Rle paste_mask(std::span<const float> probabilities, int side, const Box& box,
               std::uint32_t height, std::uint32_t width, float threshold = 0.5f);

}  // namespace music::detect
