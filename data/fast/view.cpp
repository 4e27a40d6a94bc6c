#include "data/fast/view.h"

#include <cstddef>

#include "data/fast/colour.h"

namespace music::data::fast {
namespace {

void add_jitter(const ViewParameters& parameters, const AugmentSpec& spec,
                ColourSteps& steps) {
  for (const auto op : parameters.order) {
    switch (op) {
      case ViewParameters::kBrightness:
        steps.add(ColourStep::kBrightness, parameters.brightness);
        break;
      case ViewParameters::kContrast:
        steps.add(ColourStep::kContrast, parameters.contrast);
        break;
      case ViewParameters::kSaturation:
        steps.add(ColourStep::kSaturation, parameters.saturation);
        break;
      case ViewParameters::kHue:
        // A range of 0 leaves the op out; a factor of 0 still rounds to HSV.
        if (spec.hue > 0) steps.add(ColourStep::kHue, parameters.hue);
        break;
    }
  }
}

}  // namespace

void resize(const Image& image, const ViewParameters& parameters,
            const AugmentSpec& spec, ViewScratch& scratch) {
  scratch.resampler.run(image, parameters.crop, spec.size, parameters.flip,
                        spec.interpolation, scratch.planes);
}

void colour(const ViewParameters& parameters, const AugmentSpec& spec,
            ViewScratch& scratch) {
  ColourSteps steps;
  if (parameters.jitter) add_jitter(parameters, spec, steps);
  if (parameters.grayscale) steps.add(ColourStep::kGrayscale);
  steps.apply(scratch.planes);
}

void blur(const ViewParameters& parameters, ViewScratch& scratch) {
  if (parameters.blur_sigma > 0)
    scratch.blur.run(parameters.blur_sigma, scratch.planes);
}

void finish(const ViewParameters& parameters, ViewScratch& scratch,
            std::uint8_t* out) {
  ColourSteps steps;
  if (parameters.solarize) steps.add(ColourStep::kSolarize);
  steps.apply(scratch.planes);
  scratch.planes.interleave(out);
}

void apply_view(const Image& image, const ViewParameters& parameters,
                const AugmentSpec& spec, std::uint8_t* out,
                ViewScratch& scratch) {
  resize(image, parameters, spec, scratch);
  colour(parameters, spec, scratch);
  blur(parameters, scratch);
  finish(parameters, scratch, out);
}

}  // namespace music::data::fast
