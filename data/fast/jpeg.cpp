#include "data/fast/jpeg.h"

#include <algorithm>
#include <cstring>

#include "data/decode.h"
#include "data/fast/jpeg_kernels.h"

namespace music::data::fast {
namespace {

constexpr std::size_t kSlack = 64;  // of jpeg_kernels.h

}  // namespace

bool JpegReader::open(std::span<const std::uint8_t> bytes) {
  const auto plausible = [&] {  // else libjpeg has the say, and the message
    const std::int64_t pixels = std::int64_t{frame_.width} * frame_.height;
    return pixels <= DecodeLimits::kPixels &&
           pixels <= DecodeLimits::kJpegPixelsPerByte * std::ssize(bytes) &&
           std::max(frame_.width, frame_.height) <= DecodeLimits::kJpegSide;
  };
  return frame_.parse(bytes) && plausible() &&
         scan_.open(bytes.subspan(frame_.scan), frame_);
}

// Buffers for the MCUs of across_ and down_.
void JpegReader::lay_out() {
  const auto mcus = static_cast<std::size_t>(across_.count());
  const auto groups = [mcus](const JpegComponent& c) {
    return (mcus * c.across + CoefficientRow::kBlocks - 1) /
           CoefficientRow::kBlocks;
  };
  std::size_t all_groups = 0, samples = 0;
  for (const JpegComponent& c : frame_.used()) {
    all_groups += groups(c) * c.down;
    samples += groups(c) * 32 * 16 * c.down + kSlack;
  }
  coefficient_bytes_ = all_groups * CoefficientRow::kGroup * 2;
  last_bytes_ = all_groups;
  auto* coefficients = reserve<std::int16_t>(coefficients_,
                                             coefficient_bytes_ / 2);
  auto* last = reserve<std::uint8_t>(last_, last_bytes_);
  auto* sample = reserve<std::uint8_t>(samples_, samples);
  rows_.clear();
  for (std::size_t i = 0; i < frame_.used().size(); ++i) {
    const JpegComponent& c = frame_.component[i];
    for (int y = 0; y < c.down; ++y) {
      rows_.push_back({coefficients, last});
      coefficients += groups(c) * CoefficientRow::kGroup;
      last += groups(c);
    }
    Strip& strip = strip_[i];
    strip = {sample, groups(c) * 32, 16 * c.down, down_.first * 8 * c.down};
    sample += strip.stride * static_cast<std::size_t>(strip.rows) + kSlack;
  }
  const std::size_t width = strip_[0].stride + 2 * kSlack;
  reserve<std::uint8_t>(upsampled_, 2 * width);
  reserve<std::int16_t>(scratch_, width);
}

void JpegReader::transform(int mcu_row) {
  std::size_t row = 0;
  for (std::size_t i = 0; i < frame_.used().size(); ++i) {
    const JpegComponent& c = frame_.component[i];
    const Strip& strip = strip_[i];
    for (int y = 0; y < c.down; ++y, ++row)
      inverse_dct(rows_[row].data, rows_[row].last, strip.stride / 32,
                  frame_.quant[c.quant].data(),
                  strip.row((mcu_row * c.down + y) * 8), strip.stride);
  }
}

// Chroma of image row y at luma's resolution.
const std::uint8_t* JpegReader::chroma(std::size_t component, int y) {
  const JpegComponent& c = frame_.component[component];
  const JpegComponent& light = frame_.component[0];
  const Strip& strip = strip_[component];
  const int at = y / light.down;
  const std::uint8_t* near = strip.row(at);
  if (light.across == 1) return near;
  auto* out = upsampled_.as<std::uint8_t>() +
              (component - 1) * (strip_[0].stride + 2 * kSlack);
  auto* scratch = scratch_.as<std::int16_t>();
  const auto n = static_cast<std::size_t>(
      std::min(across_.count() * 8, c.width - across_.first * 8));
  if (light.down == 1) {
    upsample_across(near, n, out, scratch);
  } else {
    const int next = std::clamp(y % 2 ? at + 1 : at - 1, 0, c.height - 1);
    upsample_both(near, strip.row(next), n, out,
                  scratch);
  }
  return out;
}

void JpegReader::convert(int y, const Box& box, std::uint8_t* rgb) {
  const auto x =
      static_cast<std::size_t>(box.x - across_.first * frame_.mcu_width);
  const auto n = static_cast<std::size_t>(box.width);
  const std::uint8_t* light = strip_[0].row(y) + x;
  if (frame_.components == 1) return gray_to_rgb(light, n, rgb);
  const std::uint8_t* cb = chroma(1, y) + x;
  ycbcr_to_rgb(light, cb, chroma(2, y) + x, n, rgb);
}

bool JpegReader::read(const Box& box, Image& image) {
  // Upsampling looks at the neighbours of a sample.
  const auto range = [](int begin, int size, int mcu, int mcus, bool margin) {
    const int more = margin ? 2 : 0;
    return Range{std::max(begin - more, 0) / mcu,
                 std::min((begin + size + more + mcu - 1) / mcu, mcus)};
  };
  const JpegComponent& light = frame_.component[0];
  across_ = range(box.x, box.width, frame_.mcu_width, frame_.mcus_across,
                  light.across > 1);
  down_ = range(box.y, box.height, frame_.mcu_height, frame_.mcus_down,
                light.down > 1);
  lay_out();
  std::uint8_t* rgb = image.reset(box.width, box.height);
  const int end = box.y + box.height;
  int y = box.y;
  for (int row = 0; row < down_.last; ++row) {
    if (row < down_.first) {
      if (!scan_.row(0, 0, rows_)) return false;
      continue;
    }
    std::memset(coefficients_.data(), 0, coefficient_bytes_);
    std::memset(last_.data(), 0, last_bytes_);
    if (!scan_.row(across_.first, across_.last, rows_)) return false;
    transform(row);
    // The lowest row of an MCU waits for the chroma below it.
    const int below = (row + 1) * frame_.mcu_height - (light.down - 1);
    const int ready = row + 1 == down_.last ? end : std::min(below, end);
    for (; y < ready; ++y, rgb += image.stride()) convert(y, box, rgb);
  }
  return true;
}

}  // namespace music::data::fast
