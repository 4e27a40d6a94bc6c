#pragma once
// A ring of rows in a buffer: the newest take the place of the oldest.

#include "engine/ops/kernel.h"

namespace music {

// Writes rows [m,D] into queue, a buffer [K,D] with K a multiple of m, from row
// position on, a buffer [1] below K, and moves position on by m, around the end.
// No gradient. Record it behind backward(): gradients read the queue as it was.
// -> the position after it [1].
//
// A position outside [0, K) is kInternal at run time on the CPU; a GPU's step
// has no way to throw, so there the queue stays and the position becomes NaN.
Value push_rows(Graph& graph, Value queue, Value position, Value rows);

MUSIC_KERNEL(make_push_rows)  // in: queue, position, rows; out: position

}  // namespace music
