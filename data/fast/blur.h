#pragma once
// Pillow's Gaussian blur (data/blur.h) with its three boxes as one kernel an
// axis, in 16-bit SIMD: no rounding to 8 bits in between, edges repeated once.
// Against data/blur.h: mean below 0.5 of 255 (tested). The same bytes on every
// instruction set.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "data/fast/planes.h"
#include "engine/core/buffer.h"

namespace music::data::fast {

// One a thread.
class Blur {
 public:
  // In place: planes takes over the blurred planes, which this keeps room for.
  // sigma > 0.
  void run(double sigma, Planes& planes);

 private:
  void plan(double sigma);

  // From the centre outwards, in 2^-15.
  std::vector<std::int16_t> weights_;
  std::vector<double> kernel_, wider_;
  Planes blurred_;
  Buffer rows_;
};

// The kernel, on one plane: weights of the centre and of reach neighbours.
// rows: scratch of blur_values(...) values.
void blur_plane(const std::uint8_t* in, std::size_t stride, int size,
                const std::int16_t* weights, int reach, std::int16_t* rows,
                std::uint8_t* out);
std::size_t blur_values(std::size_t stride, int size, int reach);

}  // namespace music::data::fast
