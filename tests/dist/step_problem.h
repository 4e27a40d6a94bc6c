#pragma once
// A small training step whose result depends on every exchange: batches that
// no number of processes from 2 to 4 divides, seven segments.

#include <cstdint>
#include <vector>

#include "engine/core/rng.h"
#include "tests/dist/world.h"
#include "tests/support/small_step.h"

namespace music::test {

inline constexpr std::int64_t kBatch = 24, kLast = 10;
inline const ModelSpec kSpec = small_model({24, 28});

inline TrainingStepSpec step_spec() { return small_step(); }

inline constexpr std::size_t kImage = kSize * kSize * 3;

// Both views of a batch. Samples differ in colour and contrast, so that a
// shard's statistics are not those of the batch.
inline std::vector<std::uint8_t> pixels(std::int64_t samples,
                                        std::uint32_t stream) {
  Rng rng(1, RngPurpose::kTest, stream);
  std::vector<std::uint8_t> x;
  for (std::int64_t i = 0; i < 2 * samples; ++i) {
    const std::uint32_t low = rng.below(120), range = 8 + rng.below(128);
    for (std::size_t j = 0; j < kImage; ++j)
      x.push_back(static_cast<std::uint8_t>(low + rng.below(range)));
  }
  return x;
}

// This rank's samples of both views.
inline std::vector<std::uint8_t> shard(const std::vector<std::uint8_t>& x) {
  std::vector<std::uint8_t> mine;
  const auto image = static_cast<std::ptrdiff_t>(kImage);
  const auto samples = static_cast<std::ptrdiff_t>(x.size()) / image / 2;
  for (int view = 0; view < 2; ++view)
    for (std::ptrdiff_t i = world().rank(); i < samples; i += world().size()) {
      const auto at = x.begin() + (view * samples + i) * image;
      mine.insert(mine.end(), at, at + image);
    }
  return mine;
}

}  // namespace music::test
