#pragma once
// Pillow's Image.resize on 8-bit RGB, to the bit: a horizontal and a vertical
// pass, each rounded to 8 bits, antialiased windows, 22-bit fixed-point weights
// (python-pillow/Pillow: src/libImaging/Resample.c). Up to Pillow 12 the horizontal
// pass is the first; from 13 on the vertical one where the height loses more than
// twice as many pixels as the width.

#include <cstdint>
#include <vector>

#include "data/augment_spec.h"
#include "data/image.h"

namespace music::data {

// Weights of one axis, for a run of output positions.
class ResizeAxis {
 public:
  static constexpr int kBits = 32 - 8 - 2;  // fraction bits of a weight

  // in pixels become out pixels; of these, count from first on are wanted.
  // reverse: in reversed order.
  void plan(int in, int out, int first, int count, Interpolation filter,
            bool reverse);

  // At least the taps of every position.
  std::size_t stride() const { return stride_; }
  int first_input(int i) const { return first_[static_cast<std::size_t>(i)]; }
  int taps(int i) const { return taps_[static_cast<std::size_t>(i)]; }
  const std::int32_t* weights(int i) const {
    return weights_.data() + static_cast<std::size_t>(i) * stride_;
  }

 private:
  std::vector<int> first_, taps_;
  std::vector<std::int32_t> weights_;
  std::vector<double> exact_;
  std::size_t stride_ = 0;
};

// Keeps its buffers between calls; one a thread.
class Resizer {
 public:
  // Crops box from in, resizes that to width x height, takes window of the
  // result, mirrors it if flip, and writes it to out (window.height *
  // window.width * 3 bytes). box lies within in, window within the result.
  void run(const Image& in, const Box& box, int width, int height,
           const Box& window, bool flip, Resampling how, std::uint8_t* out);

 private:
  void run_down_first(const Image& in, const Box& box, const Box& window,
                      std::uint8_t* out);
  void resize_rows(const std::uint8_t* in, std::size_t stride, int rows,
                   std::size_t in_bytes, int count, std::uint8_t* out);

  ResizeAxis horizontal_, vertical_;
  std::vector<std::uint8_t> rows_;  // after the first pass
  std::vector<std::uint8_t> lanes_in_, lanes_out_, spare_;  // within it
};

}  // namespace music::data
