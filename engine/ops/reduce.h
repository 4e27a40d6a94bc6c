#pragma once
// Sum or mean of all elements: x [...] -> y [1] F32. Accumulates in fp64, in an
// order that does not depend on the thread count.

#include "engine/ops/kernel.h"

namespace music {

enum class ReduceKind { kSum, kMean };

Value reduce(Graph& graph, Value x, ReduceKind kind);

MUSIC_KERNEL(make_reduce_forward, ReduceKind)   // in: x; out: y
MUSIC_KERNEL(make_reduce_backward, ReduceKind)  // in: dy; out: dx

}  // namespace music
