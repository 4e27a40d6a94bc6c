#pragma once
// The two-view augmentation stack of VICReg, in its order: random resized crop,
// flip, colour jitter, grayscale, blur, solarize. Probabilities per view.

#include <array>

namespace music::data {

enum class Interpolation { kBilinear, kBicubic };

// A resize of Pillow's: its filter, and the release whose bytes it gives, 12 for
// all up to 12 or 13 for those from 13 on, which order the two passes anew.
struct Resampling {
  static constexpr int kEarlier = 12, kToday = 13;

  Interpolation filter;
  int pillow;

  Resampling(Interpolation of, int release = kToday)
      : filter(of), pillow(release) {}
};

// Two ways to the same views. kExact: Pillow's and torchvision's bytes. kFast:
// one decode of what both views need and SIMD kernels; the mean difference to
// kExact is below 1 of 255, without bias.
enum class AugmentMode { kFast, kExact };

struct AugmentSpec {
  AugmentMode mode = AugmentMode::kFast;
  int size = 224;                                 // output is size x size
  std::array<double, 2> scale{0.08, 1.0};         // area share of the crop
  std::array<double, 2> ratio{3.0 / 4, 4.0 / 3};  // aspect of the crop
  Interpolation interpolation = Interpolation::kBicubic;
  int pillow = Resampling::kToday;                // of kExact
  double flip = 0.5;
  double jitter = 0.8;                            // probability of the jitter
  double brightness = 0.4, contrast = 0.4, saturation = 0.2, hue = 0.1;
  double grayscale = 0.2;
  std::array<double, 2> blur{1.0, 0.1};           // probability, view 1 and 2
  std::array<double, 2> blur_sigma{0.1, 2.0};
  std::array<double, 2> solarize{0.0, 0.2};       // probability, view 1 and 2
};

// Channel statistics of the normalisation (x / 255 - mean) / std, RGB.
struct PixelStats {
  std::array<float, 3> mean{0.485f, 0.456f, 0.406f};
  std::array<float, 3> std{0.229f, 0.224f, 0.225f};
};

}  // namespace music::data
