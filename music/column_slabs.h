#pragma once
// How processes that share a batch share out the matrix P of the loss.

#include <cstdint>
#include <vector>

#include "music/coding.h"

namespace music {

// First column of each rank's slab, and D: [ranks + 1]. Slabs are whole
// segments, cut nearest to equal shares; they are empty where there are fewer
// segments than ranks.
std::vector<std::int64_t> column_slabs(const Segments& segments, int ranks);

}  // namespace music
