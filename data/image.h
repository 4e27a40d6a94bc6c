#pragma once
// Image: 8-bit RGB, interleaved (HWC), rows tightly packed. Owns its pixels
// (storage is kept and reused by reset) or borrows somebody else's.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace music::data {

struct Box {
  int x = 0, y = 0, width = 0, height = 0;
};

class Image {
 public:
  static constexpr int kChannels = 3;
  // Bytes that may be read beyond the last pixel of an owned image.
  static constexpr std::size_t kSlack = 128;

  int width() const { return width_; }
  int height() const { return height_; }
  std::size_t stride() const { return std::size_t{kChannels} * width_; }
  std::size_t bytes() const { return stride() * height_; }
  const std::uint8_t* data() const { return data_; }
  const std::uint8_t* row(int y) const { return data_ + stride() * y; }

  bool owned() const { return data_ && data_ == storage_.data(); }

  // Becomes an owned image of unspecified pixels; returns them for writing.
  // Allocates only when it has never been this large.
  std::uint8_t* reset(int width, int height) {
    width_ = width;
    height_ = height;
    if (storage_.size() < bytes() + kSlack) storage_.resize(bytes() + kSlack);
    data_ = storage_.data();
    return storage_.data();
  }
  // Shows pixels that the caller keeps alive and unchanged.
  void borrow(const std::uint8_t* pixels, int width, int height) {
    width_ = width;
    height_ = height;
    data_ = pixels;
  }

  Image() = default;
  Image(Image&&) = default;  // a vector keeps its storage when moved
  Image& operator=(Image&&) = default;
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

 private:
  std::vector<std::uint8_t> storage_;
  const std::uint8_t* data_ = nullptr;
  int width_ = 0, height_ = 0;
};

}  // namespace music::data
