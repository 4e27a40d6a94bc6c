#include "data/augment.h"

#include <cmath>

#include "data/colour.h"
#include "data/decode.h"
#include "engine/core/error.h"

namespace music::data {
namespace {

// Half to even, as Python's round.
int round_even(double x) { return static_cast<int>(std::nearbyint(x)); }

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
        // A range of 0 leaves the op out; a factor of 0 still rounds to HSV.
        if (spec.hue > 0) adjust_hue(rgb, n, parameters.hue);
        break;
    }
  }
}

struct Size {
  int width, height;
};

// torchvision's Resize(int): the long side is cut to an integer.
Size short_side_to(int resize, const Image& image) {
  const auto longer = [&](int a, int b) {
    return static_cast<int>(static_cast<double>(std::int64_t{resize} * a) / b);
  };
  if (image.width() < image.height())
    return {resize, longer(image.height(), image.width())};
  return {longer(image.width(), image.height()), resize};
}

}  // namespace

void apply_view(const Image& image, const ViewParameters& parameters,
                const AugmentSpec& spec, std::uint8_t* out,
                AugmentScratch& scratch) {
  if (spec.mode == AugmentMode::kFast)
    return fast::apply_view(image, parameters, spec, out, scratch.fast);
  const int size = spec.size;
  const std::size_t n = static_cast<std::size_t>(size) * size;
  scratch.resizer.run(image, parameters.crop, size, size, {0, 0, size, size},
                      parameters.flip, {spec.interpolation, spec.pillow}, out);
  if (parameters.jitter) jitter(parameters, spec, out, n);
  if (parameters.grayscale) to_grayscale(out, n);
  if (parameters.blur_sigma > 0)
    gaussian_blur(out, size, size, parameters.blur_sigma, scratch.blur);
  if (parameters.solarize) solarize(out, n);
}

void eval_view(const Image& image, int resize, int size, Resampling how,
               std::uint8_t* out, AugmentScratch& scratch) {
  MUSIC_CHECK(size >= 1 && size <= resize,
              "[augment] a crop of {} from a short side of {}", size, resize);
  const auto [width, height] = short_side_to(resize, image);
  const Box window{round_even((width - size) / 2.0),
                   round_even((height - size) / 2.0), size, size};
  scratch.resizer.run(image, {0, 0, image.width(), image.height()}, width,
                      height, window, false, how, out);
}

void squash_view(const Image& image, int resize, int size, Resampling how,
                 std::uint8_t* out, AugmentScratch& scratch) {
  MUSIC_CHECK(size >= 1 && resize >= 1, "[augment] a size of {}, {}", resize,
              size);
  const auto [width, height] = short_side_to(resize, image);
  if (std::int64_t{width} * height > DecodeLimits::kPixels)
    throw error(ExitCode::kData,
                "{} x {} pixels become {} x {}, expected {} pixels at most",
                image.width(), image.height(), width, height,
                DecodeLimits::kPixels);
  Image& resized = scratch.resized;
  scratch.resizer.run(image, {0, 0, image.width(), image.height()}, width,
                      height, {0, 0, width, height}, false, how,
                      resized.reset(width, height));
  scratch.resizer.run(resized, {0, 0, width, height}, size, size,
                      {0, 0, size, size}, false, how, out);
}

}  // namespace music::data
