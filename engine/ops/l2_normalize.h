#pragma once
// Rows of unit length: y = x / max(|x|, floor), row by row (torch's
// F.normalize). dx = (dy - y (y.dy)) / |x|; a row shorter than floor is divided
// by a constant: dx = dy / floor. Norms are summed in fp64. A NaN makes its
// whole row NaN.

#include "engine/ops/kernel.h"

namespace music {

// x [M,D] F32 -> [M,D]
Value l2_normalize(Graph& graph, Value x, double floor = 1e-12);

MUSIC_KERNEL(make_l2_normalize_forward, float)   // in: x; out: y, |x| [M]
MUSIC_KERNEL(make_l2_normalize_backward, float)  // in: dy, y, |x|; out: dx

}  // namespace music
