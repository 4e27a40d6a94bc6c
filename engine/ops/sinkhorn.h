#pragma once
// Balanced assignments of rows to columns, SwAV's codes: q = exp((s - 1) /
// epsilon), then `iterations` times each column is divided by its sum over the
// rows of all processes, and each row by its own sum. Rows sum to 1. No
// gradient.
//
// Similarities of unit rows are at most 1, so exp does not overflow and no
// maximum is looked for; a row's own would change the column sums. Below 1 -
// 87 epsilon q underflows. A column whose sum is 0 stays 0; what is not finite
// stays so. Sums are fp64, in an order that does not depend on the thread
// count.

#include "engine/ops/kernel.h"
#include "engine/ops/statistics_hook.h"

namespace music {

// scores [B,K] F32, rows of this process, at most 1 -> codes [B,K]. combine: of
// column sums, F64 [K], once an iteration; null for the sums of scores alone.
Value sinkhorn(Graph& graph, Value scores, double epsilon, int iterations,
               const StatisticsHook& combine = nullptr);

MUSIC_KERNEL(make_sinkhorn_exponentials, double)  // in: scores; out: q
MUSIC_KERNEL(make_sinkhorn_columns)               // in: q; out: sums f64 [K]
MUSIC_KERNEL(make_sinkhorn_rows)                  // in: q, sums; out: q

}  // namespace music
