#pragma once
// One augmented view: what to do, drawn from (seed, epoch, sample, view), and
// doing it. Both are pure; thread, rank and call order never matter. The stack
// is VICReg's with torchvision's and Pillow's semantics (DESIGN 7, exact mode).

#include <array>
#include <cstdint>

#include "data/augment_spec.h"
#include "data/blur.h"
#include "data/image.h"
#include "data/resize.h"

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

struct AugmentScratch {  // one a thread
  Resizer resizer;
  BlurScratch blur;
};

// out: spec.size * spec.size * 3 bytes, HWC.
void apply_view(const Image& image, const ViewParameters& parameters,
                const AugmentSpec& spec, std::uint8_t* out,
                AugmentScratch& scratch);

// Resize of the short side to resize, then CenterCrop(size); size <= resize.
// out as above.
void eval_view(const Image& image, int resize, int size,
               Interpolation interpolation, std::uint8_t* out,
               AugmentScratch& scratch);

}  // namespace music::data
