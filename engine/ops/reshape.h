#pragma once
// The same elements in another shape: x -> y, any dtype. Its gradient is the
// reshape back.

#include "engine/ops/kernel.h"

namespace music {

// Throws where the shapes differ in their number of elements.
Value reshape(Graph& graph, Value x, const Shape& shape);

}  // namespace music
