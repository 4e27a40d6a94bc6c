#pragma once
// PNG by stb_image: any bit depth, palette, alpha and interlacing to 8-bit RGB;
// alpha is dropped, of 16 bits the upper 8 are kept (as Pillow for RGB).

#include <cstdint>
#include <span>

#include "data/image.h"

namespace music::data {

// Verifies every chunk's checksum. bytes begin with PNG's signature. Throws
// Error kData.
void decode_png(std::span<const std::uint8_t> bytes, Image& image);

}  // namespace music::data
