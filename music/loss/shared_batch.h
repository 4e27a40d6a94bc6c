#pragma once
// The batch that a loss is taken over.

#include <cstdint>

#include "dist/communicator.h"

namespace music {

// A batch that processes share; this one has shard_size() of its samples. No
// communicator: all of them.
struct SharedBatch {
  dist::Communicator* communicator = nullptr;
  std::int64_t samples = 0;  // of all processes
};

}  // namespace music
