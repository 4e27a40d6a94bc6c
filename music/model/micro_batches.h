#pragma once
// How a batch is cut into the parts that pass the network at once.

#include <compare>
#include <cstdint>
#include <vector>

namespace music {

// Of a part, all that its graphs depend on; the same on all processes.
struct PartShape {
  std::int64_t samples = 0;  // of all processes
  int first_rank = 0;        // the rank of the first of them
  auto operator<=>(const PartShape&) const = default;
};

struct MicroBatch {
  PartShape shape;
  // Of this process's samples: the first, and how many, which may be none.
  std::int64_t first = 0, here = 0;
};

// Consecutive samples of a batch of `samples`; a process r of `world` has every
// world-th of the batch, from r, and so of each part. Parts have `micro` samples,
// the last one fewer; where that would be one, it is joined to the part before.
// One part where micro is 0 or not below samples. Parts are the same samples for
// any number of processes.
std::vector<MicroBatch> micro_batches(std::int64_t samples, std::int64_t micro,
                                      int rank = 0, int world = 1);

}  // namespace music
