#pragma once
// y = x * s, with s a one-element fp32 value read in the step (a constant 1, a
// loss scale), which has no gradient of its own.

#include "engine/ops/kernel.h"

namespace music {

Value scale(Graph& graph, Value x, Value s);

MUSIC_KERNEL(make_scale)  // in: x, s; out: y

}  // namespace music
