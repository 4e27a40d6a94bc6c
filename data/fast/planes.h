#pragma once
// Planes: a square 8-bit RGB image as three planes, row by row. What the SIMD
// kernels of data/fast work on.

#include <cstddef>
#include <cstdint>

#include "engine/core/buffer.h"

namespace music::data::fast {

class Planes {
 public:
  static constexpr int kChannels = 3;
  static constexpr int kTile = 32;  // rows and columns are padded to this

  // Becomes size x size unspecified pixels. Allocates only when it has never
  // been this large.
  void reset(int size);

  int size() const { return size_; }
  // Bytes from row to row, and rows that are there: size rounded up to a
  // multiple of kTile.
  std::size_t stride() const { return stride_; }
  std::uint8_t* plane(int c) { return plane_[c]; }
  const std::uint8_t* plane(int c) const { return plane_[c]; }

  // To size * size * 3 interleaved bytes.
  void interleave(std::uint8_t* rgb) const;

 private:
  int size_ = 0;
  std::size_t stride_ = 0;
  std::uint8_t* plane_[kChannels] = {};
  Buffer storage_;
};

}  // namespace music::data::fast
