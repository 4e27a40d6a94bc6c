#pragma once
// Reverse-mode differentiation as graph surgery.

#include "engine/graph/graph.h"

namespace music {

// Appends the nodes that compute d loss / d parameter for every parameter the
// loss depends on, times `seed` (a one-element value: 1, or the loss scale).
// Each parameter's gradient is written straight into its slot of the flat
// gradient block. Call once per graph.
void backward(Graph& graph, Value loss, Value seed);

}  // namespace music
