#pragma once
// Rows of all processes.

#include <cstdint>

#include "dist/communicator.h"
#include "engine/graph/graph.h"

namespace music::dist {

// x [n,...], F32, F16 or BF16: this rank's rows of a batch of `samples` rows,
// shared out as engine/core/shard.h does -> [samples,...]: rank 0's rows, then
// rank 1's, and so on. x itself for one rank. Blocking in the order of the
// graph, so all ranks record it at the same places. Its gradient is exact: this
// rank's rows of the sum of all ranks' gradients (in F32, whatever x is), for a
// loss that is the sum of the ranks' shares. communicator must outlive the graph.
Value gather_rows(Graph& graph, Value x, Communicator& communicator,
                  std::int64_t samples);

// The number, in that order, of this rank's first row.
std::int64_t first_row(const Communicator& communicator, std::int64_t samples);

}  // namespace music::dist
