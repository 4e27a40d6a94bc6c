#pragma once
// Features that several processes extract together.

#include "dist/communicator.h"
#include "music/eval/features.h"

namespace music {

// The rows of all processes, in rank order, on each of them.
Features gather(const Features& mine, dist::Communicator& communicator);

}  // namespace music
