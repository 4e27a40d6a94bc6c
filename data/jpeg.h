#pragma once
// JPEG by libjpeg(-turbo): slow integer IDCT and fancy upsampling, which are
// Pillow's pixels.

#include <cstdint>
#include <span>
#include <vector>

#include "data/image.h"

namespace music::data {

// Grayscale is replicated; CMYK and YCCK are taken as inverted (Adobe's
// convention) and converted as Pillow does. Warnings are tolerated except a
// premature end; a file with an end marker before all of its scans is whole, of
// less quality, if every component has had one. Throws Error kData, which names
// the processes that libjpeg does not know: 12 bits, lossless, hierarchical.
void decode_jpeg(std::span<const std::uint8_t> bytes, Image& image);

// Baseline 4:2:0, quality 1..100.
std::vector<std::uint8_t> encode_jpeg(const Image& image, int quality);

}  // namespace music::data
