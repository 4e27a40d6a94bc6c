#pragma once
// Nearest neighbours of each row among all rows of a file that need not fit into
// memory: those of music/eval/neighbours.h, piece by piece.

#include <cstdint>
#include <functional>
#include <span>

#include "engine/io/npy.h"
#include "music/eval/neighbours.h"

namespace music {

// The k nearest of each row [n, width] f32, itself left out, nearest first: out
// [n, k], k < n. Memory beside it: two pieces of `bytes` and what NeighbourSearch
// takes. Does not depend on the size of pieces. done: the share of the work.
void row_neighbours(const NpyReader& rows, std::int64_t k, std::span<Neighbour> out,
                    const std::function<void(double)>& done = nullptr,
                    std::int64_t bytes = std::int64_t{24} << 20);

}  // namespace music
