// Objectives across samples: any number of processes gives what one gives. Run
// with 1 to 4 processes.
#include <doctest/doctest.h>

#include <vector>

#include "engine/core/shard.h"
#include "engine/ops/cast.h"
#include "engine/ops/column_deviation.h"
#include "tests/dist/objective_problem.h"

namespace {

using namespace music;
using namespace music::test;

TEST_SUITE("objectives") {
  TEST_CASE("gather_rows: rows in the order of the ranks, and its adjoint") {
    const int ranks = world().size(), rank = world().rank();
    const auto all = rows_of("gathered", kSamples);
    std::vector<float> in_order;
    std::int64_t first = 0;
    for (int r = 0; r < ranks; ++r) {
      if (r == rank) first = static_cast<std::int64_t>(in_order.size()) / kWidth;
      for (std::int64_t i = r; i < kSamples; i += ranks)
        for (std::int64_t j = 0; j < kWidth; ++j)
          in_order.push_back(static_cast<float>(all[i * kWidth + j]));
    }
    CHECK(dist::first_row(world(), kSamples) == first);
    // Each rank's loss has weights of its own, the rank + 1 times others.
    const auto weights = rows_of("weights", kSamples);
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
      CAPTURE(name_of(dtype));
      const auto r = evaluate(
          {{shard(all)}, {weights, Matrix::Role::kConstant}},
          [&](Graph& g, std::span<const Value> v, auto&) -> Recorded {
            const Value y = cast(
                g, dist::gather_rows(g, cast(g, v[0], dtype), world(), kSamples),
                DType::kF32);
            return {times(g, inner(g, y, v[1]), rank + 1), {y}};
          });
      if (dtype == DType::kF32) CHECK(r.kept[0] == in_order);
      const double rounding = dtype == DType::kF32   ? 1e-6
                              : dtype == DType::kF16 ? 2e-3
                                                     : 1e-2;
      CHECK(within(norm_relative(r.kept[0], in_order), rounding));
      const auto n = static_cast<std::size_t>(
          shard_size(kSamples, rank, ranks) * kWidth);
      std::vector<double> sum;
      for (std::size_t i = 0; i < n; ++i)
        sum.push_back(weights[first * kWidth + static_cast<std::int64_t>(i)] *
                      ranks * (ranks + 1) / 2);
      CHECK(within(norm_relative(r.gradients[0], sum), rounding));
    }
  }

  TEST_CASE("gather_rows: what it exchanges is what it tells plans") {
    check_gathered_exchanges(Device::kCpu);
  }

  TEST_CASE("gather_rows of one process is its argument; wrong rows are an error") {
    Parameters p;
    Graph g(p);
    const auto mine = shard_size(kSamples, world().rank(), world().size());
    const Value x = g.input("x", {mine, 3}, DType::kF32);
    const Value y = dist::gather_rows(g, x, world(), kSamples);
    CHECK((y == x) == (world().size() == 1));
    CHECK(g.shape(y) == Shape{kSamples, 3});
    CHECK_THROWS_AS(dist::gather_rows(g, g.input("z", {mine + 1, 3}, DType::kF32),
                                      world(), kSamples),
                    Error);
  }

  TEST_CASE("SimCLR") { check_simclr(world()); }

  TEST_CASE("SwAV") { check_swav(world()); }

  TEST_CASE("SimSiam and BYOL") {
    const std::vector<reference::Array> rows = {
        rows_of("p1", kSamples), rows_of("p2", kSamples),
        rows_of("z1", kSamples), rows_of("z2", kSamples)};
    for (const bool latent : {false, true})
      check_objective(
          rows, {},
          [latent](Graph& g, auto v, auto&, const Batch& batch) -> Recorded {
            const Value loss =
                (latent ? byol : simsiam)(g, v[0], v[1], v[2], v[3], batch);
            // z has its gradient from elsewhere.
            return {add(g, loss, times(g, inner(g, v[2], v[3]), 0.1)), {}};
          },
          world());
  }

  TEST_CASE("MoCo: all ranks push the same keys") {
    const auto r = check_objective(
        {rows_of("q", kSamples)},
        {{rows_of("queue", 2 * kSamples), Matrix::Role::kBuffer},
         {reference::Array({1}), Matrix::Role::kBuffer},
         {rows_of("k", kSamples), Matrix::Role::kConstant}},
        [](Graph& g, auto v, auto& finish, const Batch& batch) -> Recorded {
          // Keys of this process's samples, from a matrix that all have.
          std::vector<Value> mine;
          const int ranks = batch.communicator ? batch.communicator->size() : 1;
          const int rank = batch.communicator ? batch.communicator->rank() : 0;
          for (std::int64_t i = rank; i < kSamples; i += ranks)
            mine.push_back(slice_rows(g, v[3], i, 1));
          const Value key = l2_normalize(g, concat_rows(g, mine));
          const auto c = moco(g, v[0], key, v[1], 0.2, batch);
          finish = [&g, key, queue = v[1], at = v[2], batch] {
            const Value keys =
                batch.communicator
                    ? dist::gather_rows(g, key, *batch.communicator, kSamples)
                    : key;
            push_rows(g, queue, at, keys);
          };
          return {c.loss, {v[1], c.correct}};
        },
        world(), {.times = 2});
    CHECK(over_world(r.together.kept[1]) == r.alone.kept[1]);
    // In the order of the ranks: rank r has samples r, r + R, ...
    const auto &queue = r.together.kept[0], &alone = r.alone.kept[0];
    REQUIRE(queue.size() == alone.size());
    std::size_t at = 0;
    for (int rank = 0; rank < world().size(); ++rank)
      for (auto i = static_cast<std::size_t>(rank); i < kSamples;
           i += static_cast<std::size_t>(world().size()))
        for (std::size_t j = 0; j < kWidth; ++j, ++at)
          CHECK(queue[at] == alone[i * kWidth + j]);
  }

  TEST_CASE("column_deviation") {
    const auto x = rows_of("deviation", kSamples);
    const auto deviation = [](const reference::Array& rows,
                              dist::Communicator* c) {
      return evaluate({{rows}},
                      [c](Graph& g, std::span<const Value> v, auto&) -> Recorded {
                        return {inner(g, v[0], v[0]),
                                {column_deviation(g, v[0],
                                                  dist::over_ranks(c))}};
                      })
          .kept[0];
    };
    CHECK(within(norm_relative(deviation(shard(x), &world()),
                               deviation(x, nullptr)),
                 1e-6));
  }

  // The errors that pass everywhere else as multi-process training.
  TEST_CASE("what processes do on their own is another loss") {
    if (world().size() == 1) return;
    const auto x = rows_of("x", kSamples), y = rows_of("y", kSamples);
    const auto loss = [&](const std::vector<Matrix>& m, auto record) {
      return evaluate(m, [&](Graph& g, std::span<const Value> v,
                             auto&) -> Recorded { return {record(g, v), {}}; })
          .loss;
    };
    const auto mine = static_cast<std::int64_t>(shard(x).dim(0));
    const double own = static_cast<double>(mine) / kSamples;
    const auto nt_xent = [](std::int64_t n) {
      return [n](Graph& g, auto v) {
        return simclr(g, v[0], v[1], 0.5, {n}).loss;
      };
    };
    const double whole = loss({{x}, {y}}, nt_xent(kSamples));
    const double parts =
        over_world(own * loss({{shard(x)}, {shard(y)}}, nt_xent(mine)));
    CHECK(std::abs(parts - whole) > 1e-3 * whole);
    const auto codes = [](std::int64_t n) {
      return [n](Graph& g, auto v) {
        normalize_rows_in_place(g, v[2]);
        return swav(g, {v[0], v[1]}, v[2], {n});
      };
    };
    const Matrix c{rows_of("c", kPrototypes)};
    const double balanced = loss({{x}, {y}, c}, codes(kSamples));
    const double apart =
        over_world(own * loss({{shard(x)}, {shard(y)}, c}, codes(mine)));
    CHECK(std::abs(apart - balanced) > 1e-3 * balanced);
  }
}

}  // namespace
