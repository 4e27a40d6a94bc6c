#pragma once
// A parameter whose rows are kept at unit length (SwAV's prototypes).

#include "engine/ops/kernel.h"

namespace music {

// Divides the rows of a parameter [M,D], a value of F32, by their lengths, in
// place and outside autograd: every node after it reads unit rows, the gradient
// is with respect to those, and the momentum is left alone. A row of zeros stays.
// -> the lengths the rows had [M], without gradient.
//
// An error when an earlier node has read the parameter: its gradient would read
// other rows than it did. A copy of the parameters in 16 bits is not touched:
// read the parameter as F32.
Value normalize_rows_in_place(Graph& graph, Value parameter);

}  // namespace music
