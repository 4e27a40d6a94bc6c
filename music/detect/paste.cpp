#include "music/detect/paste.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/core/error.h"

namespace music::detect {
namespace {

// Where a pixel's centre lies among cells: between low and low + 1.
struct Sample {
  int pixel, low;
  float rest;
};

// Of an axis, the pixels that reach a cell.
std::vector<Sample> samples(float begin, float end, int side, int pixels) {
  std::vector<Sample> out;
  for (int i = 0; i < pixels; ++i) {
    const float at = (static_cast<float>(i) + 0.5f - begin) / (end - begin) *
                         static_cast<float>(side) - 0.5f;
    // Also false for the NaN of a box without a side.
    if (!(at > -1 && at < static_cast<float>(side))) continue;
    const float low = std::floor(at);
    out.push_back({i, static_cast<int>(low), at - low});
  }
  return out;
}

}  // namespace

Rle paste_mask(std::span<const float> p, int side, const Box& box,
               std::uint32_t height, std::uint32_t width, float threshold) {
  MUSIC_CHECK(p.size() == static_cast<std::size_t>(side) *
                              static_cast<std::size_t>(side),
              "[paste] {} probabilities, expected {} x {}", p.size(), side, side);
  const auto rows = samples(box.y1, box.y2, side, static_cast<int>(height));
  const auto columns = samples(box.x1, box.x2, side, static_cast<int>(width));
  const auto cell = [&](int i, int j) {
    return i < 0 || j < 0 || i >= side || j >= side
               ? 0.0f
               : p[static_cast<std::size_t>(i * side + j)];
  };
  std::vector<std::uint8_t> pixels(std::size_t{height} * width);
  for (const Sample& y : rows)
    for (const Sample& x : columns) {
      const float v =
          (1 - y.rest) * ((1 - x.rest) * cell(y.low, x.low) +
                          x.rest * cell(y.low, x.low + 1)) +
          y.rest * ((1 - x.rest) * cell(y.low + 1, x.low) +
                    x.rest * cell(y.low + 1, x.low + 1));
      pixels[static_cast<std::size_t>(y.pixel) * width +
             static_cast<std::size_t>(x.pixel)] = v >= threshold;
    }
  return rle_from_pixels(pixels, height, width);
}

}  // namespace music::detect
