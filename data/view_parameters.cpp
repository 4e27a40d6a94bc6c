#include "data/view_parameters.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/core/rng.h"

namespace music::data {
namespace {

// Numbers of the streams of a view; never reorder them, runs depend on them.
enum Stream : std::uint32_t {
  kCrop, kFlip, kJitter, kGrayscale, kBlur, kSolarize
};

double uniform(Rng& rng, double low, double high) {
  return low + (high - low) * rng.uniform_double();
}

// Half to even, as Python's round.
int round_even(double x) { return static_cast<int>(std::nearbyint(x)); }

// torchvision's RandomResizedCrop.get_params.
Box sample_crop(const AugmentSpec& spec, Rng rng, int width, int height) {
  const double area = static_cast<double>(width) * height;
  const double low = std::log(spec.ratio[0]), high = std::log(spec.ratio[1]);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double target = area * uniform(rng, spec.scale[0], spec.scale[1]);
    const double aspect = std::exp(uniform(rng, low, high));
    const int w = round_even(std::sqrt(target * aspect));
    const int h = round_even(std::sqrt(target / aspect));
    if (w < 1 || w > width || h < 1 || h > height) continue;
    const auto y = rng.below(static_cast<std::uint32_t>(height - h + 1));
    const auto x = rng.below(static_cast<std::uint32_t>(width - w + 1));
    return {static_cast<int>(x), static_cast<int>(y), w, h};
  }
  // The largest centred crop within the aspects.
  Box box{0, 0, width, height};
  const double aspect = static_cast<double>(width) / height;
  if (aspect < spec.ratio[0]) {
    box.height = std::min(round_even(width / spec.ratio[0]), height);
  } else if (aspect > spec.ratio[1]) {
    box.width = std::min(round_even(height * spec.ratio[1]), width);
  }
  box.x = (width - box.width) / 2;
  box.y = (height - box.height) / 2;
  return box;
}

void sample_jitter(const AugmentSpec& spec, Rng& rng, ViewParameters& out) {
  for (std::uint32_t i = 4; i > 1; --i)
    std::swap(out.order[i - 1], out.order[rng.below(i)]);
  const auto factor = [&rng](double range) {
    return uniform(rng, std::max(0.0, 1 - range), 1 + range);
  };
  out.brightness = factor(spec.brightness);
  out.contrast = factor(spec.contrast);
  out.saturation = factor(spec.saturation);
  out.hue = uniform(rng, -spec.hue, spec.hue);
}

}  // namespace

ViewParameters sample_view(const AugmentSpec& spec, std::uint64_t seed,
                           std::uint32_t epoch, std::uint32_t sample, int view,
                           int width, int height) {
  const auto stream = [&](Stream op) {
    return Rng(seed, RngPurpose::kAugment, epoch, sample,
               static_cast<std::uint32_t>(view) * 16 + op);
  };
  const auto v = static_cast<std::size_t>(view);
  ViewParameters out;
  out.crop = sample_crop(spec, stream(kCrop), width, height);
  out.flip = stream(kFlip).bernoulli(spec.flip);
  Rng rng = stream(kJitter);
  out.jitter = rng.bernoulli(spec.jitter);
  if (out.jitter) sample_jitter(spec, rng, out);
  out.grayscale = stream(kGrayscale).bernoulli(spec.grayscale);
  rng = stream(kBlur);
  if (rng.bernoulli(spec.blur[v]))
    out.blur_sigma = uniform(rng, spec.blur_sigma[0], spec.blur_sigma[1]);
  out.solarize = stream(kSolarize).bernoulli(spec.solarize[v]);
  return out;
}

ViewPair sample_views(const AugmentSpec& spec, std::uint64_t seed,
                      std::uint32_t epoch, std::uint32_t sample, int width,
                      int height) {
  return {sample_view(spec, seed, epoch, sample, 0, width, height),
          sample_view(spec, seed, epoch, sample, 1, width, height)};
}

Box join_crops(std::span<const ViewParameters> views) {
  Box all = views[0].crop;
  for (const ViewParameters& view : views.subspan(1)) {
    const Box& b = view.crop;
    const int x = std::min(all.x, b.x), y = std::min(all.y, b.y);
    all = {x, y, std::max(all.x + all.width, b.x + b.width) - x,
           std::max(all.y + all.height, b.y + b.height) - y};
  }
  return all;
}

void move_crops(std::span<ViewParameters> views, const Box& held) {
  for (ViewParameters& view : views) {
    view.crop.x -= held.x;
    view.crop.y -= held.y;
  }
}

}  // namespace music::data
