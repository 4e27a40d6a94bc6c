#pragma once
// PartialReader: decodes as much of an image file as somebody needs who must
// see its size first. Pixels and errors are those of decode_image.

#include <cstdint>
#include <span>

#include "data/fast/jpeg.h"
#include "data/image.h"

namespace music::data {

// Keeps its buffers between files; one a thread.
class PartialReader {
 public:
  // bytes outlive read. Throws Error kData.
  void open(std::span<const std::uint8_t> bytes);
  int width() const { return plain_ ? jpeg_.width() : whole_.width(); }
  int height() const { return plain_ ? jpeg_.height() : whole_.height(); }

  // image becomes at least the box wanted, which lies within; returns the box
  // that it became. Once after open. Throws Error kData.
  Box read(const Box& wanted, Image& image);

 private:
  std::span<const std::uint8_t> bytes_;
  bool plain_ = false;
  fast::JpegReader jpeg_;
  Image whole_;  // unless plain_
};

}  // namespace music::data
