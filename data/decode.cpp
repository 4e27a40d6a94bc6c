#include "data/decode.h"

#include "data/jpeg.h"
#include "data/picture_format.h"
#include "data/png.h"
#include "data/webp.h"
#include "engine/core/error.h"

namespace music::data {

void decode_image(std::span<const std::uint8_t> bytes, Image& image) {
  if (bytes.empty()) throw error(ExitCode::kData, "[decode] the file is empty");
  if (bytes.size() > DecodeLimits::kFileBytes)
    throw error(ExitCode::kData, "[decode] {} bytes, limit {}", bytes.size(),
                DecodeLimits::kFileBytes);
  switch (picture_format(bytes)) {
    case PictureFormat::kJpeg: return decode_jpeg(bytes, image);
    case PictureFormat::kPng: return decode_png(bytes, image);
    case PictureFormat::kWebp: return decode_webp(bytes, image);
    default: throw error(ExitCode::kData, "[decode] {}", refusal(bytes));
  }
}

}  // namespace music::data
