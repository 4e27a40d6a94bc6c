#pragma once
// What is done to an image for one view, drawn from (seed, epoch, sample, view)
// alone: thread, rank and call order never matter. The distributions are those
// of VICReg's stack in torchvision.

#include <array>
#include <cstdint>
#include <span>

#include "data/augment_spec.h"
#include "data/image.h"

namespace music::data {

struct ViewParameters {
  enum ColourOp : std::uint8_t { kBrightness, kContrast, kSaturation, kHue };

  Box crop;
  bool flip = false;
  bool jitter = false;  // then the four in this order
  std::array<ColourOp, 4> order{kBrightness, kContrast, kSaturation, kHue};
  double brightness = 1, contrast = 1, saturation = 1, hue = 0;
  bool grayscale = false;
  double blur_sigma = 0;  // 0: none
  bool solarize = false;
};

// view 0 or 1; image of width x height pixels.
ViewParameters sample_view(const AugmentSpec& spec, std::uint64_t seed,
                           std::uint32_t epoch, std::uint32_t sample, int view,
                           int width, int height);

using ViewPair = std::array<ViewParameters, 2>;
ViewPair sample_views(const AugmentSpec& spec, std::uint64_t seed,
                      std::uint32_t epoch, std::uint32_t sample, int width,
                      int height);

// The smallest box with the crops of all of them, at least one, in it.
Box join_crops(std::span<const ViewParameters> views);
// The crops within an image that holds only this box.
void move_crops(std::span<ViewParameters> views, const Box& held);

}  // namespace music::data
