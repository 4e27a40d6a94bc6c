#include "data/fast/resample.h"

#include <algorithm>
#include <cstring>

namespace music::data::fast {

static_assert(Image::kSlack >= ResampleBuffers::kSlack);

void ShortAxis::plan(int in, int out, Interpolation filter, bool reverse) {
  constexpr int kDrop = ResizeAxis::kBits - 14;
  axis_.plan(in, out, 0, out, filter, reverse);
  stride_ = axis_.stride();
  weights_.resize(std::max(weights_.size(), stride_ * out));
  for (int i = 0; i < out; ++i) {
    const std::int32_t* from = axis_.weights(i);
    std::int16_t* to = weights_.data() + static_cast<std::size_t>(i) * stride_;
    // Rounded sums rather than weights: the rounded weights then add up.
    std::int32_t sum = 1 << (kDrop - 1), before = 0;
    const int last = axis_.taps(i) - 1;
    for (int k = 0; k <= last; ++k) {
      sum += from[k];
      const std::int32_t now = k == last ? 1 << 14 : sum >> kDrop;
      to[k] = static_cast<std::int16_t>(now - before);
      before = now;
    }
  }
}

void Resampler::run(const Image& in, const Box& box, int size, bool flip,
                    Interpolation filter, Planes& out) {
  horizontal_.plan(box.width, size, filter, flip);
  vertical_.plan(box.height, size, filter, false);
  out.reset(size);
  const std::size_t n = std::size_t{3} * box.width;
  const std::uint8_t* source = in.row(box.y) + std::size_t{3} * box.x;
  std::size_t stride = in.stride();
  if (!in.owned()) {  // without slack; small as a rule
    std::uint8_t* copy =
        reserve<std::uint8_t>(padded_, n * box.height + ResampleBuffers::kSlack);
    for (int y = 0; y < box.height; ++y)
      std::memcpy(copy + n * y, source + stride * y, n);
    source = copy;
    stride = n;
  }
  ResampleBuffers buffers{};
  const std::size_t tiles = (size + Planes::kTile - 1) / Planes::kTile;
  buffers.row_stride = n + ResampleBuffers::kSlack;
  buffers.plane = tiles * Planes::kTile * Planes::kTile;
  buffers.rows = reserve<std::int16_t>(rows_, 8 * buffers.row_stride);
  buffers.columns = reserve<std::int16_t>(columns_, (n + 8) * Planes::kTile);
  buffers.tile = reserve<std::uint8_t>(tile_, 3 * buffers.plane);
  resample(source, stride, box.width, horizontal_, vertical_, buffers, out);
}

}  // namespace music::data::fast
