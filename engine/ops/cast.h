#pragma once
// Conversion between element types: f32, f64, f16, bf16 (round to nearest even),
// and from u8. The gradient is the cast back.

#include "engine/ops/kernel.h"

namespace music {

Value cast(Graph& graph, Value x, DType to);

MUSIC_KERNEL(make_cast)  // in: x; out: y; dtypes from the request

}  // namespace music
