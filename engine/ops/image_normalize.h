#pragma once
// Pixels to network input: y = (x / 255 - mean) / std per channel.
// x u8 [N,H,W,3] -> y [N,H,W,spec.channels] of spec.dtype; a fourth channel is
// zero (tensor cores take channels by fours). No gradient.

#include <array>
#include <cstddef>

#include "engine/ops/kernel.h"

namespace music {

struct ImageNormalizeSpec {
  std::array<float, 3> mean{}, std{1, 1, 1};
  int channels = 3;  // or 4
  DType dtype = DType::kF32;

  // y = x * scale + shift.
  float scale(std::size_t channel) const { return 1 / (255 * std[channel]); }
  float shift(std::size_t channel) const { return -mean[channel] / std[channel]; }
};

Value image_normalize(Graph& graph, Value x, const ImageNormalizeSpec& spec);

MUSIC_KERNEL(make_image_normalize, ImageNormalizeSpec)  // in: x; out: y

}  // namespace music
