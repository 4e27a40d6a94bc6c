#pragma once
// Pixels to network input: y = (x / 255 - mean) / std per channel.
// x u8 [N,H,W,3] -> y f32 [N,H,W,3]. No gradient.

#include <array>

#include "engine/ops/kernel.h"

namespace music {

struct ImageNormalizeSpec {
  std::array<float, 3> mean{}, std{1, 1, 1};
};

Value image_normalize(Graph& graph, Value x, const ImageNormalizeSpec& spec);

MUSIC_KERNEL(make_image_normalize, ImageNormalizeSpec)  // in: x; out: y

}  // namespace music
