#pragma once
// y = x w^T + b. x [M,I], w [O,I], b [O] or invalid -> y [M,O]. x, w and b are
// of one dtype; y of that, or F32 (a GPU's products are F32 before they are
// rounded). Gradients of w and b are F32.

#include "engine/ops/kernel.h"

namespace music {

Value linear(Graph& graph, Value x, Value w, Value bias);
Value linear(Graph& graph, Value x, Value w, Value bias, DType result);

MUSIC_KERNEL(make_linear_forward)           // in: x, w, [b]; out: y
MUSIC_KERNEL(make_linear_backward_data)     // in: dy, w; out: dx
MUSIC_KERNEL(make_linear_backward_weights)  // in: x, dy; out: dw
MUSIC_KERNEL(make_linear_backward_bias)     // in: dy; out: db

}  // namespace music
