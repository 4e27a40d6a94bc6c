#pragma once
// One augmented view in fast mode (AugmentMode::kFast).

#include <cstdint>

#include "data/augment_spec.h"
#include "data/fast/blur.h"
#include "data/fast/planes.h"
#include "data/fast/resample.h"
#include "data/image.h"
#include "data/view_parameters.h"

namespace music::data::fast {

struct ViewScratch {  // one a thread
  Resampler resampler;
  Planes planes;
  Blur blur;
};

// apply_view of data/augment.h, by these steps.
void apply_view(const Image& image, const ViewParameters& parameters,
                const AugmentSpec& spec, std::uint8_t* out,
                ViewScratch& scratch);

void resize(const Image& image, const ViewParameters& parameters,
            const AugmentSpec& spec, ViewScratch& scratch);
void colour(const ViewParameters& parameters, const AugmentSpec& spec,
            ViewScratch& scratch);
void blur(const ViewParameters& parameters, ViewScratch& scratch);
// Solarizes and stores.
void finish(const ViewParameters& parameters, ViewScratch& scratch,
            std::uint8_t* out);

}  // namespace music::data::fast
