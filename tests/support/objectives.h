#pragma once
// The objectives of SimCLR, SimSiam, BYOL, MoCo and SwAV on embedded rows,
// composed of the engine's ops as methods compose them. Each is this process's
// share of the loss over `samples` samples of all processes.

#include <cstdint>
#include <vector>

#include "dist/gather_rows.h"
#include "dist/sinkhorn.h"
#include "engine/ops/add.h"
#include "engine/ops/contrastive.h"
#include "engine/ops/inner.h"
#include "engine/ops/l2_normalize.h"
#include "engine/ops/linear.h"
#include "engine/ops/rows.h"
#include "engine/ops/scale.h"
#include "engine/ops/soft_cross_entropy.h"
#include "engine/ops/stop_gradient.h"

namespace music::test {

// Who shares the batch; no communicator: this process has all of it.
struct Batch {
  std::int64_t samples;
  dist::Communicator* communicator = nullptr;
  double share() const { return 1 / static_cast<double>(samples); }
};

inline Value times(Graph& g, Value x, double factor) {
  return scale(g, x, g.constant({1}, factor));
}

// The sum over both views of the mean over samples (simclr's code; its paper
// takes half).
inline ContrastiveValues simclr(Graph& g, Value x, Value y, double temperature,
                                const Batch& batch) {
  const Value a = l2_normalize(g, x), b = l2_normalize(g, y);
  const Value local = concat_rows(g, {a, b});
  Value all = local;
  std::int64_t first = 0;
  if (dist::Communicator* c = batch.communicator) {
    all = concat_rows(g, {dist::gather_rows(g, a, *c, batch.samples),
                          dist::gather_rows(g, b, *c, batch.samples)});
    first = dist::first_row(*c, batch.samples);
  }
  return contrastive(g, linear(g, local, all, {}),
                     {first, batch.samples, temperature, batch.share()});
}

// -(mean cos(p1, z2) + mean cos(p2, z1)) / 2, z constant.
inline Value simsiam(Graph& g, Value p1, Value p2, Value z1, Value z2,
                     const Batch& batch) {
  const auto cosines = [&](Value p, Value z) {
    return inner(g, l2_normalize(g, p), l2_normalize(g, stop_gradient(g, z)));
  };
  return times(g, add(g, cosines(p1, z2), cosines(p2, z1)),
               -0.5 * batch.share());
}

// mean |p1 - z2|^2 + mean |p2 - z1|^2 of unit rows: 4 + 4 of SimSiam's. The 4
// is of all processes together.
inline Value byol(Graph& g, Value p1, Value p2, Value z1, Value z2,
                  const Batch& batch) {
  return add(g, times(g, simsiam(g, p1, p2, z1, z2, batch), 4),
             g.constant({1}, 4 * static_cast<double>(g.shape(p1)[0]) *
                                 batch.share()));
}

// One direction. key: unit rows, constant; queue: a buffer [K,D].
inline ContrastiveValues moco(Graph& g, Value query, Value key, Value queue,
                              double temperature, const Batch& batch) {
  const Value q = l2_normalize(g, query);
  return queue_contrastive(g, row_inner(g, q, key), linear(g, q, queue, {}),
                           temperature, batch.share());
}

// Crops of embedded rows; the first two get codes. prototypes: unit rows.
// codes: of the first crop and the second, if asked for.
inline Value swav(Graph& g, const std::vector<Value>& crops, Value prototypes,
                  const Batch& batch, std::vector<Value>* codes = nullptr) {
  std::vector<Value> scores;
  for (Value x : crops)
    scores.push_back(linear(g, l2_normalize(g, x), prototypes, {}));
  const double weight =
      batch.share() / (2 * (static_cast<double>(crops.size()) - 1));
  Value loss;
  for (const std::size_t i : {0, 1}) {
    const Value q =
        dist::sinkhorn(g, scores[i], 0.05, 3, batch.communicator);
    if (codes) codes->push_back(q);
    for (std::size_t v = 0; v < crops.size(); ++v) {
      if (v == i) continue;
      const Value part = soft_cross_entropy(g, scores[v], q, 0.1, weight);
      loss = loss ? add(g, loss, part) : part;
    }
  }
  return loss;
}

}  // namespace music::test
