#pragma once
// Image bytes of unknown origin to 8-bit RGB. All limits stand here; exceeding
// one, or any damage that costs pixels, throws Error kData with the reason.

#include <cstddef>
#include <cstdint>
#include <span>

#include "data/image.h"

namespace music::data {

struct DecodeLimits {
  static constexpr std::size_t kFileBytes = std::size_t{64} << 20;
  static constexpr std::int64_t kPixels = 178'956'970;  // as Pillow's error
  static constexpr int kJpegSide = 65'500;              // libjpeg's own
  static constexpr int kPngSide = 16'384;
  static constexpr int kJpegScans = 100;
  // Huffman codes spend at least a bit on each block of 8 x 8.
  static constexpr std::int64_t kJpegPixelsPerByte = 8 * 64;
  // The modes of a block of 16 x 16 spend 2.7 bits or more.
  static constexpr std::int64_t kWebpPixelsPerByte = 1024;
  static constexpr std::int64_t kWebpFreePixels = std::int64_t{1} << 24;
  static constexpr std::int64_t kCodecBytes = std::int64_t{512} << 20;
  // Besides: no buffer of a PNG is larger than its size calls for, so that a
  // small file stays cheap.
};

// A format that is read (data/picture_format.h) by the first bytes; names and
// EXIF rotation are ignored.
void decode_image(std::span<const std::uint8_t> bytes, Image& image);

}  // namespace music::data
