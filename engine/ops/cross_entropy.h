#pragma once
// Mean cross-entropy of logits [M,K] against integer labels [M] (i32). The
// gradient is formed in the forward pass; backward scales it.
// A label outside [0,K) is kData at run time on the CPU; a GPU's step has no
// way to throw, so there the loss and the row of the gradient become NaN.

#include "engine/ops/kernel.h"

namespace music {

// -> loss [1]. correct, if wanted: [1], rows whose label has a larger logit than
// every other class; no gradient.
Value cross_entropy(Graph& graph, Value logits, Value labels,
                    Value* correct = nullptr);

// in: logits, labels; out: loss, dlogits, [correct]
MUSIC_KERNEL(make_cross_entropy)

}  // namespace music
