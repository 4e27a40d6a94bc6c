#include "data/fast/view.h"

#include <cstddef>

#include "data/blur.h"
#include "data/colour.h"

namespace music::data::fast {
namespace {

void jitter(const ViewParameters& parameters, const AugmentSpec& spec,
            std::uint8_t* rgb, std::size_t n) {
  for (const auto op : parameters.order) {
    switch (op) {
      case ViewParameters::kBrightness:
        adjust_brightness(rgb, n, parameters.brightness);
        break;
      case ViewParameters::kContrast:
        adjust_contrast(rgb, n, parameters.contrast);
        break;
      case ViewParameters::kSaturation:
        adjust_saturation(rgb, n, parameters.saturation);
        break;
      case ViewParameters::kHue:
        if (spec.hue > 0) adjust_hue(rgb, n, parameters.hue);
        break;
    }
  }
}

}  // namespace

void apply_view(const Image& image, const ViewParameters& parameters,
                const AugmentSpec& spec, std::uint8_t* out,
                ViewScratch& scratch) {
  const std::size_t n = static_cast<std::size_t>(spec.size) * spec.size;
  scratch.resampler.run(image, parameters.crop, spec.size, parameters.flip,
                        spec.interpolation, scratch.planes);
  scratch.planes.interleave(out);
  if (parameters.jitter) jitter(parameters, spec, out, n);
  if (parameters.grayscale) to_grayscale(out, n);
  if (parameters.blur_sigma > 0) {
    static thread_local BlurScratch blur;
    gaussian_blur(out, spec.size, spec.size, parameters.blur_sigma, blur);
  }
  if (parameters.solarize) solarize(out, n);
}

}  // namespace music::data::fast
