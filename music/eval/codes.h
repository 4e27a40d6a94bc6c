#pragma once
// Segment codes: an embedding as the unit that wins in each segment, which is the
// mode of MUSIC's code q (paper 2.2), and how codes lie in files.

#include <cstdint>
#include <span>
#include <vector>

#include "music/loss/segments.h"

namespace music {

// Of one embedding [segments.units()]: out[s] is the place within segment s of
// its largest unit, the first of equals. Throws kData for a NaN.
void segment_codes(const float* embedding, const Segments& segments,
                   std::uint16_t* out);

// Codes as whole numbers: u8 where no segment has more than 256 units, else u16.
enum class CodeWidth { kU8, kU16 };
// Throws kUsage for a segment of more than 65536 units.
CodeWidth code_width(const Segments& segments);

// Codes in the fewest whole bits each: segment s takes ceil(log2(size)) of them,
// its most significant first, segment after segment from the most significant
// bit of the first byte on (numpy.packbits' order); the last byte ends in zeros.
class CodePacking {
 public:
  explicit CodePacking(const Segments& segments);

  std::int64_t bits() const { return bits_; }
  std::int64_t bytes() const { return (bits_ + 7) / 8; }
  // out: bytes() of them.
  void pack(std::span<const std::uint16_t> codes, std::uint8_t* out) const;
  std::vector<std::uint16_t> unpack(const std::uint8_t* packed) const;

 private:
  std::vector<int> widths_;  // bits of each segment
  std::int64_t bits_ = 0;
};

}  // namespace music
