#include "music/report/sha256.h"

#include <bit>
#include <cmath>
#include <string>

namespace music {
namespace {

using State = std::array<std::uint32_t, 8>;

// The first 32 bits of the fractions of the roots of the first primes.
template <std::size_t N>
std::array<std::uint32_t, N> fractions(long double (*root)(long double)) {
  std::array<std::uint32_t, N> out{};
  std::size_t found = 0;
  for (unsigned n = 2; found < N; ++n) {
    bool prime = true;
    for (unsigned d = 2; d * d <= n; ++d) prime = prime && n % d != 0;
    if (!prime) continue;
    const long double r = root(n);
    out[found++] =
        static_cast<std::uint32_t>((r - std::floor(r)) * 4294967296.0L);
  }
  return out;
}

void absorb(State& state, const unsigned char* block) {
  static const auto k =
      fractions<64>([](long double x) { return std::cbrt(x); });
  std::array<std::uint32_t, 64> w;
  for (int i = 0; i < 16; ++i)
    w[i] = std::uint32_t{block[4 * i]} << 24 |
           std::uint32_t{block[4 * i + 1]} << 16 |
           std::uint32_t{block[4 * i + 2]} << 8 | block[4 * i + 3];
  for (int i = 16; i < 64; ++i) {
    const auto a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) +
           w[i - 7] + (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (int i = 0; i < 64; ++i) {
    const auto t = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) +
                   ((e & f) ^ (~e & g)) + k[i] + w[i];
    const auto u = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) +
                   ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t, d = c, c = b, b = a, a = t + u;
  }
  const State mixed = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < 8; ++i) state[i] += mixed[i];
}

}  // namespace

std::array<std::uint8_t, 32> sha256(std::string_view bytes) {
  State state = fractions<8>([](long double x) { return std::sqrt(x); });
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  std::size_t at = 0;
  for (; at + 64 <= bytes.size(); at += 64) absorb(state, data + at);
  std::string tail(bytes.substr(at));
  tail += '\x80';
  tail.resize((tail.size() + 8 + 63) / 64 * 64 - 8);
  for (int i = 7; i >= 0; --i)
    tail += static_cast<char>(std::uint64_t{bytes.size()} * 8 >> (8 * i));
  for (at = 0; at < tail.size(); at += 64)
    absorb(state, reinterpret_cast<const unsigned char*>(tail.data()) + at);
  std::array<std::uint8_t, 32> out;
  for (int i = 0; i < 32; ++i)
    out[i] = static_cast<std::uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)));
  return out;
}

}  // namespace music
