#pragma once
// Reverse-mode differentiation as graph surgery.

#include <span>
#include <vector>

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

// For graphs that are part of a computation. Where the gradient begins: that of
// `value`, of its shape and type, computed elsewhere.
struct Seed {
  Value value, gradient;
};

struct PartialGradients {
  std::vector<Value> wanted;  // of each value asked for; invalid: none came
  std::vector<bool> reached;  // parameters, by index
};

// As above, from several seeds, whose gradients add up, and to `wanted` as well:
// inputs of the graph that were marked as needing a gradient
// (ValueInfo::needs_gradient). Parameters need not be reached: the graphs of a
// computation together have to (require_reached).
PartialGradients backward_part(Graph& graph, std::span<const Seed> seeds,
                               std::span<const Value> wanted);

// Throws when a parameter that is not frozen is not reached.
void require_reached(const Parameters& parameters,
                     const std::vector<bool>& reached);

}  // namespace music
