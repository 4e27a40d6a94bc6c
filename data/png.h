#pragma once
// PNG by stb. Reading: any bit depth, palette, alpha and interlacing to 8-bit RGB;
// alpha is dropped, of 16 bits the upper 8 are kept (as by Pillow, but for 16-bit
// grey without alpha, which that clips at 255).

#include <cstdint>
#include <span>
#include <vector>

#include "data/image.h"

namespace music::data {

// Verifies every chunk's checksum. bytes begin with PNG's signature. Throws
// Error kData.
void decode_png(std::span<const std::uint8_t> bytes, Image& image);

// Lossless; both sides at least 1.
std::vector<std::uint8_t> encode_png(const Image& image);

}  // namespace music::data
