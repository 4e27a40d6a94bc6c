#pragma once
// Pillow's and torchvision's colour operations on n interleaved 8-bit RGB
// pixels, in place and to the bit: each reads and writes 8 bits, so rounding
// accumulates in their order. Factors as torchvision's ColorJitter draws them.

#include <cstddef>
#include <cstdint>

namespace music::data {

// ImageEnhance: blend of a degenerate image (black; the grey of the mean; the
// grey of each pixel) and the image, truncated; factor >= 0.
void adjust_brightness(std::uint8_t* rgb, std::size_t n, double factor);
void adjust_contrast(std::uint8_t* rgb, std::size_t n, double factor);
void adjust_saturation(std::uint8_t* rgb, std::size_t n, double factor);
// Through 8-bit HSV, which alone changes pixels; factor in [-0.5, 0.5] turns.
void adjust_hue(std::uint8_t* rgb, std::size_t n, double factor);
// L = 0.299 R + 0.587 G + 0.114 B in 16-bit fixed point, in all channels.
void to_grayscale(std::uint8_t* rgb, std::size_t n);
// v < 128 ? v : 255 - v
void solarize(std::uint8_t* rgb, std::size_t n);

}  // namespace music::data
