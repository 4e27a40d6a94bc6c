#pragma once
// Huffman decoding of JPEG coefficients (ITU-T T.81, annex F.2.2): a bit buffer
// of 64 bits and tables that answer in one look-up how many bits code and value
// take together.

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "data/fast/jpeg_frame.h"

namespace music::data::fast {

// Bits from bytes without stuffing. Reads up to 8 bytes ahead of what was used
// and never stops: who fills makes sure of the bytes.
class BitReader {
 public:
  explicit BitReader(const std::uint8_t* at) : at_(at) {}

  // At least 56 bits are there afterwards.
  void fill() {
    std::uint64_t next;
    std::memcpy(&next, at_, sizeof next);
    if constexpr (std::endian::native == std::endian::little)
      next = __builtin_bswap64(next);
    bits_ |= next >> (count_ & 63);
    at_ += (~count_ >> 3) & 7;
    count_ |= 56;
  }
  std::uint64_t bits() const { return bits_; }  // the next, highest first
  // Only the low six bits of n count.
  void drop(std::uint64_t n) {
    bits_ <<= n & 63;
    count_ -= n;
  }
  // The first byte of which no bit was used.
  const std::uint8_t* end() const { return at_ - ((count_ >> 3) & 7); }

 private:
  const std::uint8_t* at_;
  std::uint64_t bits_ = 0;
  std::uint64_t count_ = 0;  // of bits_ that are there, in the low six bits
};

class HuffmanTable {
 public:
  // What the next bits stand for, in bytes from the lowest: bits of code and
  // value, to drop; bits of the value; 0; coefficients to go on by.
  using Entry = std::uint32_t;
  // Coefficients to go on by: of no code, of a code longer than the look-up, and
  // of the end of a block. All lead out of a block, wherever it stands.
  static constexpr unsigned kNoCode = 64, kLongCode = 128, kEndOfBlock = 192;

  static unsigned step(Entry e) { return e >> 24; }
  // The value behind the code; bits begin with the code. No branches: signs are
  // as good as random.
  static int value(Entry e, std::uint64_t bits) {
    static constexpr std::array<int, 12> kMask{
        0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 2047};
    const int mask = kMask[e >> 8 & 0xFF];
    const int value =
        static_cast<int>(std::rotl(bits, static_cast<int>(e & 63))) & mask;
    // The lower half of the values stands for negative ones (F.2.2.1).
    const int negative = (2 * value - mask) >> 31;
    return value - (negative & mask);
  }

  // dc: symbols are sizes of differences; else runs and sizes. False: no
  // prefix code, or a symbol that 8-bit images do not have. Kept if equal.
  bool build(const HuffmanSpec& spec, bool dc);

  // In two steps, so that a loop need not branch on the length of codes:
  // look_up(table(), bits), and where its step is kLongCode, find_long(bits).
  const Entry* table() const { return fast_.data(); }
  static Entry look_up(const Entry* table, std::uint64_t bits) {
    return table[bits >> (64 - kFastBits)];
  }
  Entry find_long(std::uint64_t bits) const;

 private:
  static constexpr unsigned kFastBits = 10;

  HuffmanSpec spec_;
  bool valid_ = false;
  std::vector<Entry> fast_;  // by the next kFastBits bits
  // By code length: first code beyond those of the length, left-justified in 16
  // bits, and what to add to a code for its index into long_.
  std::array<std::uint32_t, 17> beyond_{};
  std::array<int, 17> offset_{};
  std::array<Entry, 256> long_{};
};

}  // namespace music::data::fast
