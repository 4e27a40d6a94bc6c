#pragma once
// Doing to an image what a view's parameters say; pure functions of pixels.

#include <cstdint>

#include "data/augment_spec.h"
#include "data/blur.h"
#include "data/fast/view.h"
#include "data/image.h"
#include "data/resize.h"
#include "data/view_parameters.h"

namespace music::data {

struct AugmentScratch {  // one a thread
  Resizer resizer;
  BlurScratch blur;
  fast::ViewScratch fast;
  Image resized;
};

// By spec.mode. out: spec.size * spec.size * 3 bytes, HWC.
void apply_view(const Image& image, const ViewParameters& parameters,
                const AugmentSpec& spec, std::uint8_t* out,
                AugmentScratch& scratch);

// Resize of the short side to resize, then CenterCrop(size); size <= resize.
// out as above.
void eval_view(const Image& image, int resize, int size, Resampling how,
               std::uint8_t* out, AugmentScratch& scratch);

// Resize of the short side to resize, then of the whole to size x size: nothing
// is cropped, the aspect is lost. out as above. Error kData where that would pass
// through more pixels than an image may have (a strip a few pixels wide).
void squash_view(const Image& image, int resize, int size, Resampling how,
                 std::uint8_t* out, AugmentScratch& scratch);

}  // namespace music::data
