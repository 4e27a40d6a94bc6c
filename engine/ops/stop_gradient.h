#pragma once
// y = x, through which no gradient passes: what a loss must treat as constant
// although parameters decide it (a target, a detached statistic). A gradient
// that ends anywhere else is an error of backward().

#include "engine/graph/graph.h"

namespace music {

// Any shape and type.
Value stop_gradient(Graph& graph, Value x);

}  // namespace music
