#pragma once
// y = a + b, same shape and dtype.

#include "engine/ops/kernel.h"

namespace music {

Value add(Graph& graph, Value a, Value b);

MUSIC_KERNEL(make_add)

}  // namespace music
