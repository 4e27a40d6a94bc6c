#pragma once
// Crop and resize by 16-bit SIMD: the filters of data/resize, without its
// rounding between the two passes.
//
// Weights have 14 fraction bits, pixels 6 and 7; the vertical pass comes first,
// because it runs along rows, and its result is turned so that the horizontal
// pass runs along columns. Integers throughout: every instruction set gives the
// same bytes. Against data/resize: at most 2 of 255, mean below 0.1 (tested).

#include <cstdint>
#include <vector>

#include "data/fast/planes.h"
#include "data/image.h"
#include "data/resize.h"

namespace music::data::fast {

// The weights of a ResizeAxis in 14 bits; those of an output sum to 2^14.
class ShortAxis {
 public:
  void plan(int in, int out, Interpolation filter, bool reverse);

  int first_input(int i) const { return axis_.first_input(i); }
  int taps(int i) const { return axis_.taps(i); }
  const std::int16_t* weights(int i) const {
    return weights_.data() + static_cast<std::size_t>(i) * stride_;
  }

 private:
  ResizeAxis axis_;
  std::vector<std::int16_t> weights_;
  std::size_t stride_ = 0;
};

// What the kernel works in.
struct ResampleBuffers {
  // Bytes that the kernel reads, and values that it writes, beyond a row.
  static constexpr std::size_t kSlack = 128;

  std::int16_t* rows;     // 8 rows of row_stride
  std::int16_t* columns;  // 3 * width + 8 columns of Planes::kTile
  std::uint8_t* tile;     // a plane of size x kTile for each channel
  std::size_t row_stride, plane;
};

// The kernel: in is width pixels wide and as high as vertical asks for.
void resample(const std::uint8_t* in, std::size_t stride, int width,
              const ShortAxis& horizontal, const ShortAxis& vertical,
              const ResampleBuffers& buffers, Planes& out);

// Keeps its buffers between calls; one a thread.
class Resampler {
 public:
  // Crops box from in, resizes it to size x size, mirrors it if flip.
  void run(const Image& in, const Box& box, int size, bool flip,
           Interpolation filter, Planes& out);

 private:
  ShortAxis horizontal_, vertical_;
  Buffer padded_, rows_, columns_, tile_;
};

}  // namespace music::data::fast
