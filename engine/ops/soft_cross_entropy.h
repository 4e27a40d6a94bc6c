#pragma once
// Cross-entropy of rows against distributions:
//   loss = -weight sum_i sum_k t_ik log softmax(z_i / temperature)_k.
// The gradient is formed in the forward pass; backward scales it. Sums of
// losses are fp64, in an order that does not depend on the thread count.

#include "engine/ops/kernel.h"

namespace music {

struct SoftCrossEntropySpec {
  double temperature = 1, weight = 1;
};

// logits, targets [M,K] F32 -> loss [1]. Targets are constants, at least 0;
// rows of them need not sum to 1.
Value soft_cross_entropy(Graph& graph, Value logits, Value targets,
                         double temperature, double weight);

// in: logits, targets; out: loss, dlogits
MUSIC_KERNEL(make_soft_cross_entropy, SoftCrossEntropySpec)

}  // namespace music
