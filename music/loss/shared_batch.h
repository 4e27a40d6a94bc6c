#pragma once
// The batch that a loss is taken over.

#include <cstdint>

#include "dist/communicator.h"
#include "engine/core/shard.h"

namespace music {

// A batch that processes share; this one has shard_size() of its samples, which
// may be none. No communicator: all of them.
struct SharedBatch {
  dist::Communicator* communicator = nullptr;
  std::int64_t samples = 0;  // of all processes
  // The rank of the first of them: 0 but for parts of a batch.
  int first_rank = 0;

  std::int64_t here() const {  // of this process
    if (!communicator) return samples;
    const int size = communicator->size();
    return shard_size(samples, (communicator->rank() - first_rank + size) % size,
                      size);
  }
};

}  // namespace music
