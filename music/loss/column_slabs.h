#pragma once
// How processes that share a batch share out the columns of a product of two
// views: the matrix P of the joint entropy, a covariance.

#include <cstdint>
#include <vector>

#include "music/loss/segments.h"

namespace music {

// First column of each rank's slab, and D: [ranks + 1]. Slabs are whole
// segments, cut nearest to equal shares; they are empty where there are fewer
// segments than ranks.
std::vector<std::int64_t> column_slabs(const Segments& segments, int ranks);
// The same for units without segments, in multiples of 16.
std::vector<std::int64_t> column_slabs(std::int64_t units, int ranks);

// The first rank with the most columns.
int widest_slab(const std::vector<std::int64_t>& slabs);

// Units of q' that a GPU gathers at a time, the same on all ranks: a panel of
// 8 MB, whose block of P stays in a second-level cache; `code`: bytes of a code.
std::int64_t gpu_panel_units(std::int64_t samples,
                             const std::vector<std::int64_t>& slabs,
                             std::int64_t code);

}  // namespace music
