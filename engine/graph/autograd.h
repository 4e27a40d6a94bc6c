#pragma once
// Reverse-mode differentiation as graph surgery.

#include "engine/graph/graph.h"

namespace music {

// Appends the nodes that compute d loss / d parameter for every parameter that
// is not frozen, times `seed` (a one-element value: 1, or the loss scale). Each
// gradient is written straight into its slot of the flat gradient block. Call
// once per graph. Nothing ends or is left out unsaid: throws when a gradient
// arrives at a node that has none and does not stop it (stop_gradient.h), and
// when no gradient reaches a parameter that is not frozen, whose slot would
// keep what an earlier step wrote.
void backward(Graph& graph, Value loss, Value seed);

}  // namespace music
