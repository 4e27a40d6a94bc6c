#pragma once
// Mean over the spatial axes: x [N,H,W,C] -> y [N,C].

#include "engine/ops/kernel.h"

namespace music {

Value global_avg_pool(Graph& graph, Value x);

MUSIC_KERNEL(make_global_avg_pool_forward)   // in: x; out: y
MUSIC_KERNEL(make_global_avg_pool_backward)  // in: dy; out: dx

}  // namespace music
