#pragma once
// What convolutions and linear layers cost, forward and backward.

#include "engine/graph/graph.h"

namespace music {

// Each tensor passes once, and there are as many multiply-adds as go into y, a
// result or its gradient, with weights [K,...].
inline NodeWork product_work(const Graph& graph, const Node& node, Value y,
                             Value weights) {
  const Shape& w = graph.shape(weights);
  NodeWork work = traffic(graph, node);
  work.flops = 2 * static_cast<double>(graph.shape(y).elements()) *
               static_cast<double>(w.elements() / w[0]);
  return work;
}

}  // namespace music
