#pragma once
// SHA-256 (FIPS 180-4), in which shared/data/odd states its pixels.

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace music::data {

inline std::string sha256(std::vector<std::uint8_t> bytes) {
  using Word = std::uint32_t;
  // The first 32 fraction bits of roots of the first primes.
  struct Constants {
    std::array<Word, 64> round{};  // cube roots
    std::array<Word, 8> start{};   // square roots
    Constants() {
      const auto fraction = [](long double x) {
        return static_cast<Word>((x - std::floor(x)) * 4294967296.0L);
      };
      std::size_t n = 0;
      for (int p = 2; n < 64; ++p) {
        bool prime = true;
        for (int d = 2; d * d <= p; ++d) prime &= p % d != 0;
        if (!prime) continue;
        const auto x = static_cast<long double>(p);
        if (n < 8) start[n] = fraction(std::sqrt(x));
        round[n++] = fraction(std::cbrt(x));
      }
    }
  };
  static const Constants constants;
  const std::uint64_t bits = std::uint64_t{bytes.size()} * 8;
  bytes.push_back(0x80);
  while (bytes.size() % 64 != 56) bytes.push_back(0);
  for (int shift = 56; shift >= 0; shift -= 8)
    bytes.push_back(static_cast<std::uint8_t>(bits >> shift));

  std::array<Word, 8> hash = constants.start;
  for (std::size_t block = 0; block < bytes.size(); block += 64) {
    std::array<Word, 64> w{};
    for (std::size_t i = 0; i < 64; ++i) {
      const std::uint8_t* p = bytes.data() + block + 4 * (i % 16);
      if (i < 16) {
        w[i] = Word{p[0]} << 24 | Word{p[1]} << 16 | Word{p[2]} << 8 | p[3];
        continue;
      }
      const Word a = w[i - 15], b = w[i - 2];
      w[i] = w[i - 16] + w[i - 7] +
             (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) +
             (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
    }
    auto [a, b, c, d, e, f, g, h] = hash;
    for (std::size_t i = 0; i < 64; ++i) {
      const Word x =
          h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) +
          ((e & f) ^ (~e & g)) + constants.round[i] + w[i];
      const Word y = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) +
                     ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + x, d = c, c = b, b = a, a = x + y;
    }
    const std::array<Word, 8> add{a, b, c, d, e, f, g, h};
    for (std::size_t i = 0; i < 8; ++i) hash[i] += add[i];
  }
  std::string text;
  for (const Word word : hash)
    for (int shift = 28; shift >= 0; shift -= 4)
      text += "0123456789abcdef"[word >> shift & 15];
  return text;
}

}  // namespace music::data
