#pragma once
// Pillow's ImageFilter.GaussianBlur(radius = sigma) on 8-bit RGB, to the bit:
// three extended box blurs an axis, edges replicated, each rounded to 8 bits,
// 8.24 fixed point (python-pillow/Pillow: src/libImaging/BoxBlur.c; Gwosdek et
// al. 2011). No kernel size is involved.

#include <cstdint>
#include <vector>

namespace music::data {

// One of the three: 2 * radius + 1 pixels of weight full and one beyond each end
// of weight edge; weights in 1 / 2^24.
struct ExtendedBox {
  int radius;
  std::uint32_t full, edge;
};
ExtendedBox extended_box(double sigma);

struct BlurScratch {
  std::vector<std::uint8_t> image, padded;
};

// In place; sigma > 0.
void gaussian_blur(std::uint8_t* rgb, int width, int height, double sigma,
                   BlurScratch& scratch);

}  // namespace music::data
