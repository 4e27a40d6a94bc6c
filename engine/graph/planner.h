#pragma once
// Memory planning: an arena offset for every planned value, by liveness.
// A value's bytes are re-used after its last reader; an output takes over an
// input's bytes where the op allows it and the input dies there.

#include <cstddef>
#include <vector>

#include "engine/graph/graph.h"

namespace music {

struct Plan {
  std::vector<std::size_t> offset;  // per value; only planned ones count
  std::size_t bytes = 0;            // of the arena
  std::size_t bytes_without_reuse = 0;
};

// reuse = false gives every value its own bytes (a debug mode that must agree
// bit for bit with reuse = true).
Plan plan_memory(const Graph& graph, bool reuse = true);

}  // namespace music
