#include "data/fast/huffman.h"

#include <algorithm>

namespace music::data::fast {
namespace {

HuffmanTable::Entry entry(unsigned length, unsigned symbol, bool dc) {
  const unsigned size = dc ? symbol : symbol & 15;
  unsigned step = 1;
  if (!dc && symbol == 0)
    step = HuffmanTable::kEndOfBlock;
  else if (!dc)
    step = (symbol >> 4) + 1;
  return (length + size) | size << 8 | step << 24;
}

bool is_symbol(unsigned symbol, bool dc) {
  if (dc) return symbol <= 11;
  const unsigned size = symbol & 15;
  return size == 0 ? symbol == 0 || symbol == 0xF0 : size <= 10;
}

}  // namespace

bool HuffmanTable::build(const HuffmanSpec& spec, bool dc) {
  if (valid_ && spec == spec_) return true;
  valid_ = false;
  fast_.assign(std::size_t{1} << kFastBits, Entry{kLongCode} << 24);
  unsigned code = 0;
  std::size_t index = 0;
  for (unsigned length = 1; length <= 16; ++length) {
    const unsigned count = spec.counts[length - 1];
    offset_[length] = static_cast<int>(index) - static_cast<int>(code);
    // All ones is no code, of no length.
    if (count > 0 && code + count >= 1u << length) return false;
    for (unsigned i = 0; i < count; ++i, ++index, ++code) {
      const unsigned symbol = spec.symbols[index];
      if (!is_symbol(symbol, dc)) return false;
      long_[index] = entry(length, symbol, dc);
      if (length <= kFastBits) {
        const unsigned left = kFastBits - length;
        std::fill_n(fast_.begin() + (std::ptrdiff_t{code} << left),
                    std::size_t{1} << left, long_[index]);
      }
    }
    beyond_[length] = code << (16 - length);
    code <<= 1;
  }
  spec_ = spec;
  valid_ = true;
  return true;
}

HuffmanTable::Entry HuffmanTable::find_long(std::uint64_t bits) const {
  const auto next = static_cast<std::uint32_t>(bits >> 48);
  for (unsigned length = kFastBits + 1; length <= 16; ++length)
    if (next < beyond_[length])
      return long_[static_cast<std::size_t>(
          static_cast<int>(next >> (16 - length)) + offset_[length])];
  return Entry{kNoCode} << 24;
}

}  // namespace music::data::fast
