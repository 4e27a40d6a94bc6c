#pragma once
// How a batch is cut into the parts that pass the network at once.

#include <cstdint>
#include <vector>

namespace music {

struct MicroBatch {
  std::int64_t samples = 0;  // of all processes
  // Of this process's samples: the first, and how many.
  std::int64_t first = 0, here = 0;
};

// Consecutive samples of a batch of `samples`; a process r of `world` has every
// world-th of the batch, from r, and so of each part. Parts have `micro` samples
// (rounded down to a multiple of world), the last one fewer; where that would
// leave it with one sample, or a process with none, it is joined to the part
// before. One part where micro is 0 or not below samples. Throws kUsage when
// micro is below world.
std::vector<MicroBatch> micro_batches(std::int64_t samples, std::int64_t micro,
                                      int rank = 0, int world = 1);

}  // namespace music
