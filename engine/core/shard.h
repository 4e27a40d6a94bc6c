#pragma once
// How the samples of a batch are shared out.

#include <cstdint>

namespace music {

// Rank r of `world` takes samples r, r + world, ... of a batch of n: this many.
// Ranks differ by at most one sample.
constexpr std::int64_t shard_size(std::int64_t n, int rank, int world) {
  return (n - rank + world - 1) / world;
}

}  // namespace music
