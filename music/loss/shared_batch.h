#pragma once
// The batch that a loss is taken over.

#include <cstdint>

#include "dist/communicator.h"
#include "engine/core/shard.h"

namespace music {

// A batch that processes share; this one has shard_size() of its samples. No
// communicator: all of them.
struct SharedBatch {
  dist::Communicator* communicator = nullptr;
  std::int64_t samples = 0;  // of all processes

  std::int64_t here() const {  // of this process
    return communicator ? shard_size(samples, communicator->rank(),
                                     communicator->size())
                        : samples;
  }
};

}  // namespace music
