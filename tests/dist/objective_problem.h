#pragma once
// Objectives over samples that no number of processes from 2 to 4 divides,
// against one process that has them all.

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "dist/gather_rows.h"
#include "engine/ops/cast.h"
#include "engine/ops/normalize_rows_in_place.h"
#include "engine/ops/push_rows.h"
#include "tests/dist/world.h"
#include "tests/support/compare.h"
#include "tests/support/evaluate.h"
#include "tests/support/exchange_log.h"
#include "tests/support/golden.h"
#include "tests/support/margin.h"
#include "tests/support/objectives.h"

namespace music::test {

inline constexpr std::int64_t kSamples = 10, kWidth = 6, kPrototypes = 7;

inline reference::Array rows_of(const std::string& name, std::int64_t rows) {
  return {{rows, kWidth}, hashed(name, rows * kWidth, 2)};
}

// This rank's samples.
inline reference::Array shard(const reference::Array& x) {
  const auto mine = shard_rows(x.data, x.dim(1));
  return {{static_cast<std::int64_t>(mine.size()) / x.dim(1), x.dim(1)}, mine};
}

// The sum over the ranks, which is the value of all.
inline double over_world(double v) {
  world().all_reduce({&v, Shape{1}, DType::kF64});
  return v;
}
inline std::vector<float> over_world(std::vector<float> v) {
  world().all_reduce({v.data(), Shape{static_cast<std::int64_t>(v.size())},
                      DType::kF32});
  return v;
}

// gather_rows and its adjoint exchange what they tell plans.
inline void check_gathered_exchanges(Device device) {
  for (const DType dtype : {DType::kF32, DType::kF16})
    for (const int ranks : {2, 3}) {
      CAPTURE(ranks);
      CHECK(check_exchanges(
                device, ranks, kSamples, kWidth,
                [&](Graph& g, Value z, const SharedBatch& batch) {
                  const Value rows =
                      slice_rows(g, z, 0, g.shape(z)[0] / 2);
                  const Value all = dist::gather_rows(
                      g, cast(g, rows, dtype), *batch.communicator,
                      batch.samples);
                  backward(g, reduce(g, cast(g, all, DType::kF32),
                                     ReduceKind::kSum),
                           g.constant({1}, 1));
                }) == 2);
    }
}

using RecordBatch = std::function<Recorded(
    Graph&, std::span<const Value>, std::function<void()>&, const Batch&)>;

// The objective of `samples` [N,D] each and `shared` matrices, alone and with
// the others: the same loss and the same gradients. Gives what was kept.
struct AloneAndTogether {
  Evaluated alone, together;
};
inline AloneAndTogether check_objective(
    const std::vector<reference::Array>& samples,
    const std::vector<Matrix>& shared, const RecordBatch& record,
    dist::Communicator& communicator, const EvaluateOn& on = {}) {
  std::vector<Matrix> all, mine;
  for (const auto& x : samples) {
    all.push_back({x});
    mine.push_back({shard(x)});
  }
  for (const Matrix& m : shared) all.push_back(m), mine.push_back(m);
  const auto run = [&](const std::vector<Matrix>& matrices,
                       dist::Communicator* c, const EvaluateOn& where) {
    return evaluate(
        matrices,
        [&](Graph& g, std::span<const Value> v, auto& finish) {
          return record(g, v, finish, Batch{kSamples, c});
        },
        where);
  };
  AloneAndTogether r{run(all, nullptr, {.times = on.times}),
                     run(mine, &communicator, on)};
  CHECK(near(over_world(r.together.loss), r.alone.loss, 1e-6));
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].role != Matrix::Role::kTrained) continue;
    CAPTURE(i);
    if (i < samples.size())
      CHECK(within(norm_relative(r.together.gradients[i],
                                 shard_rows(r.alone.gradients[i], kWidth)),
                   2e-6));
    else
      CHECK(within(norm_relative(over_world(r.together.gradients[i]),
                                 r.alone.gradients[i]),
                   2e-6));
  }
  return r;
}

inline void check_simclr(dist::Communicator& c, const EvaluateOn& on = {}) {
  for (const double t : {0.1, 0.5}) {
    const auto r = check_objective(
        {rows_of("x", kSamples), rows_of("y", kSamples)}, {},
        [t](Graph& g, auto v, auto&, const Batch& batch) -> Recorded {
          const auto s = simclr(g, v[0], v[1], t, batch);
          return {s.loss, {s.correct}};
        },
        c, on);
    CHECK(over_world(r.together.kept[0]) == r.alone.kept[0]);
  }
}

inline void check_swav(dist::Communicator& c, const EvaluateOn& on = {}) {
  const auto r = check_objective(
      {rows_of("x", kSamples), rows_of("y", kSamples), rows_of("u", kSamples)},
      {{rows_of("c", kPrototypes)}},
      [](Graph& g, auto v, auto&, const Batch& batch) -> Recorded {
        normalize_rows_in_place(g, v[3]);
        Recorded recorded;
        recorded.loss =
            swav(g, {v[0], v[1], v[2]}, v[3], batch, &recorded.kept);
        return recorded;
      },
      c, on);
  for (const std::size_t crop : {0, 1})
    CHECK(within(norm_relative(r.together.kept[crop],
                               shard_rows(r.alone.kept[crop], kPrototypes)),
                 2e-6));
}

}  // namespace music::test
