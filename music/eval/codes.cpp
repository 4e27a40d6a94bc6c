#include "music/eval/codes.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "engine/core/error.h"

namespace music {

void segment_codes(const float* embedding, const Segments& segments,
                   std::uint16_t* out) {
  for (std::int64_t s = 0; s < segments.count(); ++s) {
    const float* begin = embedding + segments.begin(s);
    const float* end = begin + segments.size(s);
    const float* best = begin;
    for (const float* p = begin; p != end; ++p) {
      if (std::isnan(*p))
        throw error(ExitCode::kData,
                    "[codes] unit {} of an embedding is NaN, expected a number",
                    p - embedding);
      if (*p > *best) best = p;
    }
    out[s] = static_cast<std::uint16_t>(best - begin);
  }
}

CodeWidth code_width(const Segments& segments) {
  std::int64_t largest = 0;
  for (std::int64_t s = 0; s < segments.count(); ++s)
    largest = std::max(largest, segments.size(s));
  if (largest > 65536)
    throw error(ExitCode::kUsage,
                "[codes] a segment of {} units, expected 65536 at most", largest);
  return largest <= 256 ? CodeWidth::kU8 : CodeWidth::kU16;
}

CodePacking::CodePacking(const Segments& segments) {
  code_width(segments);
  for (std::int64_t s = 0; s < segments.count(); ++s) {
    widths_.push_back(
        std::bit_width(static_cast<std::uint64_t>(segments.size(s) - 1)));
    bits_ += widths_.back();
  }
}

void CodePacking::pack(std::span<const std::uint16_t> codes,
                       std::uint8_t* out) const {
  MUSIC_CHECK(codes.size() == widths_.size(), "[codes] {} codes of {} segments",
              codes.size(), widths_.size());
  std::fill_n(out, bytes(), std::uint8_t{0});
  std::int64_t at = 0;
  for (std::size_t s = 0; s < codes.size(); ++s)
    for (int b = widths_[s] - 1; b >= 0; --b, ++at)
      out[at / 8] |= static_cast<std::uint8_t>((codes[s] >> b & 1) << (7 - at % 8));
}

std::vector<std::uint16_t> CodePacking::unpack(const std::uint8_t* packed) const {
  std::vector<std::uint16_t> codes;
  std::int64_t at = 0;
  for (const int width : widths_) {
    unsigned code = 0;
    for (int b = 0; b < width; ++b, ++at)
      code = code << 1 | (packed[at / 8] >> (7 - at % 8) & 1u);
    codes.push_back(static_cast<std::uint16_t>(code));
  }
  return codes;
}

}  // namespace music
