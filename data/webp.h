#pragma once
// WebP by libwebp: lossy, lossless and animated (its first frame, as Pillow
// shows it: on black where it does not cover the canvas). Alpha is dropped, as by
// Pillow's convert("RGB"); ICC profiles and EXIF are ignored.

#include <cstdint>
#include <span>

#include "data/image.h"

namespace music::data {

// A file that ends before its container says is refused. Throws Error kData.
void decode_webp(std::span<const std::uint8_t> bytes, Image& image);

}  // namespace music::data
