#pragma once
// InfoNCE: cross-entropy of rows of similarities in which one column, the
// positive, is the class. Gradients are formed in the forward pass; backward
// scales them. Losses are summed in fp64, in an order that does not depend on
// the thread count. A temperature of t divides every similarity.

#include <cstdint>

#include "engine/core/host_device.h"
#include "engine/ops/kernel.h"

namespace music {

struct ContrastiveSpec {
  std::int64_t first = 0;    // global number of this process's first sample
  std::int64_t samples = 0;  // N, of all processes
  double temperature = 1, weight = 1;
};

struct ContrastiveValues {
  Value loss;     // [1]: weight * sum over the rows
  Value correct;  // [1]: rows whose positive is larger than every other column;
                  // no gradient
};

// SimCLR's NT-Xent. scores [2n, 2N] F32 = z_local z_all^T of unit rows. Rows:
// view 1 of this process's samples first..first+n-1, then view 2; columns: view
// 1 of all N samples, then view 2. A row's own column is left out; its positive
// is the other view of its sample.
ContrastiveValues contrastive(Graph& graph, Value scores, ContrastiveSpec spec);

// MoCo's: positive [n] or [n,1] and negatives [n,K], F32.
ContrastiveValues queue_contrastive(Graph& graph, Value positive,
                                    Value negatives, double temperature,
                                    double weight);

// in: scores; out: loss, correct, dscores
MUSIC_KERNEL(make_contrastive, ContrastiveSpec)
// in: positive, negatives; out: loss, correct, dpositive, dnegatives
MUSIC_KERNEL(make_queue_contrastive, ContrastiveSpec)

// ---- what the bodies share

// The columns of a row that are not negatives; -1: none such.
struct ContrastiveColumns {
  std::int64_t self, positive;
};

// Of row `row` of 2n.
MUSIC_HOST_DEVICE inline ContrastiveColumns contrastive_columns(
    std::int64_t row, std::int64_t n, std::int64_t first,
    std::int64_t samples) {
  const std::int64_t view = row < n ? 0 : 1;
  const std::int64_t sample = first + row - view * n;
  return {view * samples + sample, (1 - view) * samples + sample};
}

}  // namespace music
