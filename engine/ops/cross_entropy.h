#pragma once
// Mean cross-entropy of logits [M,K] against integer labels [M] (i32). The
// gradient is formed in the forward pass; backward scales it.
// A label outside [0,K) is kData at run time on the CPU; a GPU's step has no
// way to throw, so there the loss and the row of the gradient become NaN.

#include "engine/ops/kernel.h"

namespace music {

// -> loss [1]
Value cross_entropy(Graph& graph, Value logits, Value labels);

MUSIC_KERNEL(make_cross_entropy)  // in: logits, labels; out: loss, dlogits

}  // namespace music
