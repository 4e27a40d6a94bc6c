#pragma once
// Inner products of two tensors of one shape, F32, summed in fp64 in an order
// that does not depend on the thread count. Gradients, each recorded only for
// an input that needs it: da = d b, db = d a.

#include "engine/ops/kernel.h"

namespace music {

// The sum of a * b over all elements -> [1]
Value inner(Graph& graph, Value a, Value b);
// a, b [M,D] -> [M]: row by row.
Value row_inner(Graph& graph, Value a, Value b);

MUSIC_KERNEL(make_inner)               // in: a, b; out: y [1]
MUSIC_KERNEL(make_row_inner_forward)   // in: a, b; out: y [M]
MUSIC_KERNEL(make_row_inner_backward)  // in: dy [M], b; out: da = dy b

}  // namespace music
