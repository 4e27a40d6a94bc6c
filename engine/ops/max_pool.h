#pragma once
// Max pooling. x [N,H,W,C] -> y [N,Ho,Wo,C]; padding never wins; a tie goes to
// the first position in row order (as PyTorch). The winner's position in the
// window is kept as one byte.

#include "engine/ops/kernel.h"

namespace music {

struct MaxPoolSpec {
  int size = 3;
  int stride = 2;
  int pad = 1;  // <= size / 2
};

Value max_pool(Graph& graph, Value x, MaxPoolSpec spec);

MUSIC_KERNEL(make_max_pool_forward, MaxPoolSpec)   // in: x; out: y, winner u8
MUSIC_KERNEL(make_max_pool_backward, MaxPoolSpec)  // in: dy, winner; out: dx

}  // namespace music
