#include "data/partial_reader.h"

#include <utility>

#include "data/decode.h"
#include "data/picture_format.h"

namespace music::data {

void PartialReader::open(std::span<const std::uint8_t> bytes) {
  bytes_ = bytes;
  plain_ = bytes.size() <= DecodeLimits::kFileBytes &&
           picture_format(bytes) == PictureFormat::kJpeg && jpeg_.open(bytes);
  if (!plain_) decode_image(bytes, whole_);
}

Box PartialReader::read(const Box& wanted, Image& image) {
  if (plain_) {
    if (jpeg_.read(wanted, image)) return wanted;
    decode_image(bytes_, image);  // damaged: as libjpeg sees it
  } else {
    std::swap(image, whole_);
  }
  return {0, 0, image.width(), image.height()};
}

}  // namespace music::data
