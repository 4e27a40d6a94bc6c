#pragma once
// The standard deviation of every column over the rows, unbiased: 0 where there
// is one row. A reading, without gradient. Sums are batch_norm's.

#include <math.h>  // sqrt: the name that is on both sides

#include "engine/core/host_device.h"
#include "engine/ops/kernel.h"
#include "engine/ops/statistics_hook.h"

namespace music {

// x [M,D] F32, F16 or BF16, rows of this process -> [D] F32. combine: of the
// statistics (batch_norm.h) of x alone; null leaves them.
Value column_deviation(Graph& graph, Value x,
                       const StatisticsHook& combine = nullptr);

MUSIC_KERNEL(make_column_deviation)  // in: statistics [1,2D+1]; out: y

// From a column's sum, sum of squares, and the number of rows.
MUSIC_HOST_DEVICE inline float deviation_of(double sum, double square,
                                            double n) {
  if (n <= 1) return 0;
  const double variance = (square - sum * sum / n) / (n - 1);
  return static_cast<float>(variance < 0 ? 0 : sqrt(variance));
}

}  // namespace music
