#include "data/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace music::data {
namespace {

constexpr int kBits = 32 - 8 - 2;  // fraction bits of a weight
constexpr std::int32_t kHalf = 1 << (kBits - 1);

double bilinear(double x) {
  x = std::abs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

std::uint8_t clip(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kBits, 0, 255));
}

// One row: out[x] = sum of taps(x) pixels from first_input(x) on.
void resize_row(const std::uint8_t* in, const ResizeAxis& axis, int count,
                std::uint8_t* out) {
  for (int x = 0; x < count; ++x, out += 3) {
    const std::uint8_t* p = in + 3 * static_cast<std::ptrdiff_t>(
                                         axis.first_input(x));
    const std::int32_t* weights = axis.weights(x);
    std::int32_t r = kHalf, g = kHalf, b = kHalf;
    for (int k = 0, taps = axis.taps(x); k < taps; ++k, p += 3) {
      r += weights[k] * p[0];
      g += weights[k] * p[1];
      b += weights[k] * p[2];
    }
    out[0] = clip(r);
    out[1] = clip(g);
    out[2] = clip(b);
  }
}

// out = weighted sum of taps rows of the given bytes, stride bytes apart.
void blend_rows(const std::uint8_t* in, std::size_t stride,
                const std::int32_t* weights, int taps, std::size_t bytes,
                std::uint8_t* out) {
  constexpr std::size_t kBlock = 64;  // accumulators stay in registers
  std::size_t i = 0;
  for (; i + kBlock <= bytes; i += kBlock) {
    std::int32_t sum[kBlock];
    for (std::size_t j = 0; j < kBlock; ++j) sum[j] = kHalf;
    for (int k = 0; k < taps; ++k) {
      const std::uint8_t* row = in + stride * static_cast<std::size_t>(k) + i;
      for (std::size_t j = 0; j < kBlock; ++j) sum[j] += weights[k] * row[j];
    }
    for (std::size_t j = 0; j < kBlock; ++j) out[i + j] = clip(sum[j]);
  }
  for (; i < bytes; ++i) {
    std::int32_t sum = kHalf;
    for (int k = 0; k < taps; ++k)
      sum += weights[k] * in[stride * static_cast<std::size_t>(k) + i];
    out[i] = clip(sum);
  }
}

}  // namespace

void ResizeAxis::plan(int in, int out, int first, int count,
                      Interpolation filter, bool reverse) {
  const bool cubic = filter == Interpolation::kBicubic;
  const double scale = static_cast<double>(in) / out;
  const double stretch = std::max(scale, 1.0);
  const double support = (cubic ? 2.0 : 1.0) * stretch;
  const double inverse = 1.0 / stretch;
  stride_ = static_cast<std::size_t>(std::ceil(support)) * 2 + 1;
  const auto n = static_cast<std::size_t>(count);
  first_.resize(n);
  taps_.resize(n);
  weights_.resize(n * stride_);
  exact_.resize(stride_);
  for (int i = 0; i < count; ++i) {
    const double centre = (first + i + 0.5) * scale;
    const int low = std::max(static_cast<int>(centre - support + 0.5), 0);
    const int high = std::min(static_cast<int>(centre + support + 0.5), in);
    const int taps = high - low;
    double total = 0.0;
    for (int k = 0; k < taps; ++k) {
      const double x = (k + low - centre + 0.5) * inverse;
      const double w = cubic ? bicubic(x) : bilinear(x);
      exact_[static_cast<std::size_t>(k)] = w;
      total += w;
    }
    const auto at = static_cast<std::size_t>(reverse ? count - 1 - i : i);
    first_[at] = low;
    taps_[at] = taps;
    std::int32_t* fixed = weights_.data() + at * stride_;
    for (int k = 0; k < taps; ++k) {
      double w = exact_[static_cast<std::size_t>(k)];
      if (total != 0.0) w /= total;
      fixed[k] = static_cast<std::int32_t>((w < 0 ? -0.5 : 0.5) +
                                           w * (1 << kBits));
    }
  }
}

void Resizer::run(const Image& in, const Box& box, int width, int height,
                  const Box& window, bool flip, Interpolation filter,
                  std::uint8_t* out) {
  // Pillow leaves out a pass that changes nothing; a mirrored one is the
  // identity here too, its only weight being 1.
  const bool across = flip || width != box.width;
  const bool down = height != box.height;
  const std::size_t bytes = std::size_t{3} * window.width;

  int top = window.y, rows = window.height;  // of the box, that are needed
  if (down) {
    vertical_.plan(box.height, height, window.y, window.height, filter, false);
    top = vertical_.first_input(0);
    const int last = window.height - 1;
    rows = vertical_.first_input(last) + vertical_.taps(last) - top;
  }
  const std::uint8_t* source = in.row(box.y + top) + 3 * std::size_t(box.x);
  std::size_t stride = in.stride();
  if (across) {
    horizontal_.plan(box.width, width, window.x, window.width, filter, flip);
    std::uint8_t* target = out;
    if (down) {
      rows_.resize(std::max(rows_.size(), bytes * rows));
      target = rows_.data();
    }
    for (int y = 0; y < rows; ++y)
      resize_row(source + stride * y, horizontal_, window.width,
                 target + bytes * y);
    if (!down) return;
    source = rows_.data();
    stride = bytes;
  } else {
    source += 3 * std::size_t(window.x);
  }
  for (int y = 0; y < window.height; ++y) {
    if (down) {
      blend_rows(source + stride * (vertical_.first_input(y) - top), stride,
                 vertical_.weights(y), vertical_.taps(y), bytes,
                 out + bytes * y);
    } else {
      std::memcpy(out + bytes * y, source + stride * y, bytes);
    }
  }
}

}  // namespace music::data
