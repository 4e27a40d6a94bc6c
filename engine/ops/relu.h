#pragma once
// y = max(x, 0). The gradient at 0 is 0.

#include "engine/ops/kernel.h"

namespace music {

Value relu(Graph& graph, Value x);

MUSIC_KERNEL(make_relu_forward)   // in: x; out: y
MUSIC_KERNEL(make_relu_backward)  // in: dy, y; out: dx

}  // namespace music
