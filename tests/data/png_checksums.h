#pragma once
// A PNG that was changed, with checksums that fit again: without them damage
// would be found before it could do any.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace music::data {

// Of every chunk that is whole (PNG specification, annex D).
inline void fix_checksums(std::vector<std::uint8_t>& png) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> t{};
    for (std::uint32_t i = 0; i < t.size(); ++i) {
      t[i] = i;
      for (int k = 0; k < 8; ++k)
        t[i] = (t[i] >> 1) ^ (t[i] & 1 ? 0xEDB88320 : 0);
    }
    return t;
  }();
  const auto word = [&](std::size_t at) {
    return std::size_t{png[at]} << 24 | std::size_t{png[at + 1]} << 16 |
           std::size_t{png[at + 2]} << 8 | png[at + 3];
  };
  std::size_t at = 8;  // after the signature
  while (at + 12 <= png.size() && word(at) <= png.size() - at - 12) {
    const std::size_t length = word(at);
    std::uint32_t crc = ~0u;
    for (std::size_t i = at + 4; i < at + 8 + length; ++i)
      crc = table[(crc ^ png[i]) & 255] ^ (crc >> 8);
    for (std::size_t k = 0; k < 4; ++k)
      png[at + 8 + length + k] =
          static_cast<std::uint8_t>(~crc >> (24 - 8 * k));
    at += 12 + length;
  }
}

}  // namespace music::data
