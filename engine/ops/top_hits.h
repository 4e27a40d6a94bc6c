#pragma once
// How many rows of logits [M,K] have their label (i32 [M]) among the k largest:
// fewer than k others are as large, so a row of equal logits is no hit. Nor are a
// label outside [0,K) and a row whose label's logit is NaN.

#include "engine/ops/kernel.h"

namespace music {

// -> [1] F32, without gradient
Value top_hits(Graph& graph, Value logits, Value labels, int k);

MUSIC_KERNEL(make_top_hits, int)  // in: logits, labels; out: hits

}  // namespace music
