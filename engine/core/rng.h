#pragma once
// Counter-based random numbers: Philox4x32-10 (Salmon et al., SC'11).
//
// A draw is a pure function of (seed, purpose, three coordinates, draw index),
// never of a thread, rank or call order elsewhere. Rng is a cheap value: make
// one where it is needed.

#include <array>
#include <cmath>
#include <cstdint>

namespace music {

using PhiloxCounter = std::array<std::uint32_t, 4>;
using PhiloxKey = std::array<std::uint32_t, 2>;

constexpr PhiloxCounter philox4x32(PhiloxCounter c, PhiloxKey k) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c[2];
    c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k[0],
         static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k[1],
         static_cast<std::uint32_t>(p0)};
    k[0] += 0x9E3779B9u;
    k[1] += 0xBB67AE85u;
  }
  return c;
}

// What a stream is for; part of the key, so purposes never share numbers.
enum class RngPurpose : std::uint32_t {
  kInit = 1,     // a = parameter index
  kShuffle = 2,  // a = epoch
  kAugment = 3,  // a = epoch, b = sample, c = view * 16 + op
  kReplace = 4,  // a = epoch, b = sample: which image replaces a bad one
  kData = 5,     // synthetic data: a = image, b, c free
  kTest = 6,
  kSvm = 12,     // order of rows; of drawn examples, a = class, b = draw, c = k
};

class Rng {
 public:
  Rng(std::uint64_t seed, RngPurpose purpose, std::uint32_t a = 0,
      std::uint32_t b = 0, std::uint32_t c = 0)
      : key_(mix(seed, static_cast<std::uint32_t>(purpose))),
        counter_{0, a, b, c} {}

  std::uint32_t next() {
    if (used_ == 4) {
      block_ = philox4x32(counter_, key_);
      ++counter_[0];
      used_ = 0;
    }
    return block_[static_cast<std::size_t>(used_++)];
  }
  // [0,1), 24 random bits.
  float uniform() { return static_cast<float>(next() >> 8) * 0x1p-24f; }
  float uniform(float low, float high) { return low + (high - low) * uniform(); }
  // [0,1), 53 random bits.
  double uniform_double() {
    const std::uint64_t hi = next(), lo = next();
    return static_cast<double>((hi << 21) ^ (lo >> 11)) * 0x1p-53;
  }
  bool bernoulli(double p) { return uniform_double() < p; }
  // Uniform integer in [0,n), n >= 1; bias below n * 2^-64.
  std::uint32_t below(std::uint32_t n) {
    const std::uint64_t hi = next(), lo = next();
    const unsigned __int128 wide =
        static_cast<unsigned __int128>((hi << 32) | lo) * n;
    return static_cast<std::uint32_t>(wide >> 64);
  }
  // Standard normal (Box-Muller, one value a call).
  double normal() {
    const double u = 1.0 - uniform_double(), v = uniform_double();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * v);
  }

 private:
  static constexpr PhiloxKey mix(std::uint64_t seed, std::uint32_t purpose) {
    std::uint64_t z = seed + 0x9E3779B97F4A7C15u * (purpose + std::uint64_t{1});
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;  // splitmix64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return {static_cast<std::uint32_t>(z), static_cast<std::uint32_t>(z >> 32)};
  }

  PhiloxKey key_;
  PhiloxCounter counter_;
  PhiloxCounter block_{};
  int used_ = 4;
};

}  // namespace music
