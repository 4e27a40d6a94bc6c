#pragma once
// SwAV's codes over the rows of all processes (engine/ops/sinkhorn.h).

#include "dist/sum_over_ranks.h"
#include "engine/ops/sinkhorn.h"

namespace music::dist {

// communicator: null for the rows of this process alone; else it must outlive
// the graph.
inline Value sinkhorn(Graph& graph, Value scores, double epsilon,
                      int iterations, Communicator* communicator = nullptr) {
  return music::sinkhorn(graph, scores, epsilon, iterations,
                         over_ranks(communicator));
}

}  // namespace music::dist
