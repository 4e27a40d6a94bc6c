// Compiled without contraction of a * b + c: Pillow rounds both.
#include "data/blur.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace music::data {
namespace {

constexpr int kPasses = 3;

// out[i] = box over in(-radius - 1)[i] .. in(radius + 1)[i]; in(k) is the line
// k steps away. kRadius = box.radius, or -1: any.
template <int kRadius, typename Line>
void apply_box(const ExtendedBox& box, Line in, std::size_t bytes,
               std::uint8_t* __restrict out) {
  const int radius = kRadius < 0 ? box.radius : kRadius;
  constexpr std::size_t kBlock = 32;  // sums stay in registers
  const std::uint8_t* left = in(-radius - 1);
  const std::uint8_t* right = in(radius + 1);
  const auto block = [&](std::size_t start, std::size_t n) {
    std::uint32_t sum[kBlock] = {};
#pragma GCC unroll 5
    for (int k = -radius; k <= radius; ++k) {
      const std::uint8_t* line = in(k) + start;
      for (std::size_t i = 0; i < n; ++i) sum[i] += line[i];
    }
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint32_t ends = std::uint32_t{left[start + i]} +
                                 std::uint32_t{right[start + i]};
      out[start + i] = static_cast<std::uint8_t>(
          (sum[i] * box.full + ends * box.edge + (1u << 23)) >> 24);
    }
  };
  std::size_t start = 0;
  for (; start + kBlock <= bytes; start += kBlock) block(start, kBlock);
  if (start < bytes) block(start, bytes - start);
}

// One row, kPasses times, edges replicated.
template <int kRadius>
void blur_row(const ExtendedBox& box, const std::uint8_t* in, std::size_t bytes,
              std::uint8_t* out, std::vector<std::uint8_t>& padded) {
  const std::size_t margin = 3 * static_cast<std::size_t>(box.radius + 1);
  padded.resize(bytes + 2 * margin);
  std::uint8_t* centre = padded.data() + margin;
  for (int pass = 0; pass < kPasses; ++pass) {
    const std::uint8_t* from = pass == 0 ? in : out;
    std::memcpy(centre, from, bytes);
    for (std::size_t i = 0; i < margin; i += 3) {
      std::memcpy(padded.data() + i, from, 3);
      std::memcpy(centre + bytes + i, from + bytes - 3, 3);
    }
    apply_box<kRadius>(box, [centre](int k) { return centre + 3 * k; }, bytes,
                       out);
  }
}

template <int kRadius>
void blur(const ExtendedBox& box, std::uint8_t* rgb, std::size_t bytes,
          int height, BlurScratch& scratch) {
  scratch.image.resize(bytes * height);
  std::uint8_t* from = scratch.image.data();
  std::uint8_t* to = rgb;
  for (int y = 0; y < height; ++y)
    blur_row<kRadius>(box, rgb + bytes * y, bytes, from + bytes * y,
                      scratch.padded);
  static_assert(kPasses % 2 == 1, "the last pass writes the image");
  for (int pass = 0; pass < kPasses; ++pass, std::swap(from, to)) {
    for (int y = 0; y < height; ++y) {
      const auto row = [&](int k) {
        return from + bytes * std::clamp(y + k, 0, height - 1);
      };
      apply_box<kRadius>(box, row, bytes, to + bytes * y);
    }
  }
}

}  // namespace

ExtendedBox extended_box(double sigma) {
  const float sd = static_cast<float>(sigma);
  const float variance = sd * sd / kPasses;
  const float length = static_cast<float>(std::sqrt(12.0 * variance + 1.0));
  const float whole = static_cast<float>(std::floor((length - 1.0) / 2.0));
  float part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance);
  part /= 6 * (variance - (whole + 1) * (whole + 1));
  const float radius = whole + part;
  ExtendedBox box{};
  box.radius = static_cast<int>(radius);
  box.full = static_cast<std::uint32_t>(static_cast<float>(1 << 24) /
                                        (radius * 2 + 1));
  box.edge = ((1u << 24) -
              static_cast<std::uint32_t>(box.radius * 2 + 1) * box.full) / 2;
  return box;
}

void gaussian_blur(std::uint8_t* rgb, int width, int height, double sigma,
                   BlurScratch& scratch) {
  const ExtendedBox box = extended_box(sigma);
  const std::size_t bytes = std::size_t{3} * width;
  switch (box.radius) {  // sigma below 2.4 needs but two
    case 0: return blur<0>(box, rgb, bytes, height, scratch);
    case 1: return blur<1>(box, rgb, bytes, height, scratch);
    default: return blur<-1>(box, rgb, bytes, height, scratch);
  }
}

}  // namespace music::data
