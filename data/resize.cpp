#include "data/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace music::data {
namespace {

constexpr int kBits = ResizeAxis::kBits;
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

constexpr int kLanes = 16;  // rows resized together, one a vector lane

// to[i * kLanes + r] = line[r][i] and back: the compiler makes permutations.
template <std::size_t... R>
void interleave(const std::uint8_t* const* line, std::size_t bytes,
                std::uint8_t* __restrict to, std::index_sequence<R...>) {
  const std::uint8_t* const from[] = {line[R]...};
  for (std::size_t i = 0; i < bytes; ++i)
    ((to[i * kLanes + R] = from[R][i]), ...);
}
template <std::size_t... R>
void separate(const std::uint8_t* __restrict from, std::size_t bytes,
              std::uint8_t* const* line, std::index_sequence<R...>) {
  std::uint8_t* const to[] = {line[R]...};
#pragma GCC ivdep
  for (std::size_t i = 0; i < bytes; ++i)
    ((to[R][i] = from[i * kLanes + R]), ...);
}

// Pixels of kLanes interleaved rows: out[x] = sum of taps(x) pixels of in from
// first_input(x) on.
void resize_lanes(const std::uint8_t* in, const ResizeAxis& axis, int count,
                  std::uint8_t* out) {
  constexpr int kPixel = 3 * kLanes;
  for (int x = 0; x < count; ++x, out += kPixel) {
    const std::uint8_t* p =
        in + kPixel * static_cast<std::ptrdiff_t>(axis.first_input(x));
    const std::int32_t* weights = axis.weights(x);
    std::int32_t sum[kPixel];
    for (int j = 0; j < kPixel; ++j) sum[j] = kHalf;
    for (int k = 0, taps = axis.taps(x); k < taps; ++k, p += kPixel)
      for (int j = 0; j < kPixel; ++j) sum[j] += weights[k] * p[j];
    for (int j = 0; j < kPixel; ++j) out[j] = clip(sum[j]);
  }
}

// out = weighted sum of taps rows of the given bytes, stride bytes apart.
void blend_rows(const std::uint8_t* in, std::size_t stride,
                const std::int32_t* weights, int taps, std::size_t bytes,
                std::uint8_t* out) {
  constexpr std::size_t kBlock = 32;  // accumulators stay in registers
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

// The horizontal pass: rows of in_bytes, stride apart, to rows of count pixels.
void Resizer::resize_rows(const std::uint8_t* in, std::size_t stride, int rows,
                          std::size_t in_bytes, int count, std::uint8_t* out) {
  constexpr auto kAll = std::make_index_sequence<kLanes>();
  const std::size_t out_bytes = std::size_t{3} * count;
  lanes_in_.resize(std::max(lanes_in_.size(), kLanes * in_bytes));
  lanes_out_.resize(std::max(lanes_out_.size(), kLanes * out_bytes));
  spare_.resize(out_bytes);
  for (int y = 0; y < rows; y += kLanes) {
    const std::uint8_t* from[kLanes];
    std::uint8_t* to[kLanes];
    for (int r = 0; r < kLanes; ++r) {
      const bool real = y + r < rows;
      from[r] = in + stride * (real ? y + r : y);
      to[r] = real ? out + out_bytes * (y + r) : spare_.data();
    }
    interleave(from, in_bytes, lanes_in_.data(), kAll);
    resize_lanes(lanes_in_.data(), horizontal_, count, lanes_out_.data());
    separate(lanes_out_.data(), out_bytes, to, kAll);
  }
}

// Both passes in Pillow's newer order, planned already.
void Resizer::run_down_first(const Image& in, const Box& box, const Box& window,
                             std::uint8_t* out) {
  const std::size_t bytes = std::size_t{3} * box.width;
  rows_.resize(std::max(rows_.size(), bytes * window.height));
  const std::uint8_t* source = in.row(box.y) + 3 * std::size_t(box.x);
  for (int y = 0; y < window.height; ++y)
    blend_rows(source + in.stride() * vertical_.first_input(y), in.stride(),
               vertical_.weights(y), vertical_.taps(y), bytes,
               rows_.data() + bytes * y);
  resize_rows(rows_.data(), bytes, window.height, bytes, window.width, out);
}

void Resizer::run(const Image& in, const Box& box, int width, int height,
                  const Box& window, bool flip, Resampling how,
                  std::uint8_t* out) {
  const Interpolation filter = how.filter;
  // Pillow leaves out a pass that changes nothing; a mirrored one is the
  // identity here too, its only weight being 1.
  const bool across = flip || width != box.width;
  const bool down = height != box.height;
  const std::size_t bytes = std::size_t{3} * window.width;
  const std::int64_t fewer_rows = std::int64_t{box.height} - height;
  const bool down_first =
      how.pillow > Resampling::kEarlier && fewer_rows > 0 &&
      fewer_rows > 2 * (std::int64_t{box.width} - width);

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
    if (down_first) return run_down_first(in, box, window, out);
    std::uint8_t* target = out;
    if (down) {
      rows_.resize(std::max(rows_.size(), bytes * rows));
      target = rows_.data();
    }
    resize_rows(source, stride, rows, std::size_t{3} * box.width, window.width,
                target);
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
