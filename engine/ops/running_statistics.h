#pragma once
// Batch norm's running statistics, moved by the statistics of all groups
// together rather than of one group after the other (batch_norm.h).

#include "engine/ops/kernel.h"

namespace music {

// stats [groups,2C+1] F64 as of batch_norm_statistics; running_mean and
// running_var, buffers [C], move once: by the mean and the unbiased variance of
// all that stats count. No gradient. -> how many values a channel has of them [1].
Value running_statistics(Graph& graph, Value stats, Value running_mean,
                         Value running_var, double momentum);

// in: stats, running_mean, running_var; out: count
MUSIC_KERNEL(make_running_statistics, double)

}  // namespace music
