// What VICReg and Barlow Twins tell plans is what their kernels do.
#include "music/loss/view_loss_price.h"

#include <doctest/doctest.h>

#include "dist/planned.h"
#include "tests/support/loss_exchanges.h"

namespace {

using namespace music;
using test::check_exchanges;
using test::check_view_loss_exchanges;

// A process's node of a loss of D 16 over 3 samples a process, by
// record(graph, z, batch).
template <typename Record>
void check_work(int ranks, double flops, double g_bytes, Record&& record) {
  CAPTURE(ranks);
  const auto place = dist::make_planned_communicator(1 % ranks, ranks);
  Parameters p;
  Graph g(p);
  record(g, g.input("z", {2 * 3, 16}, DType::kF32),
         SharedBatch{place.get(), 3 * ranks});
  REQUIRE(g.nodes().size() == 1);
  const Node& node = g.nodes()[0];
  const NodeWork work = node.work(g, node);
  CHECK(work.flops == flops);
  CHECK(work.bytes == traffic(g, node).bytes + g_bytes);
  CHECK((node.exchanges != nullptr) == (ranks > 1));
}

TEST_SUITE("view_loss_price") {
  TEST_CASE("exchanges and waits, told and made") {
    check_view_loss_exchanges(Device::kCpu, DType::kF32);
  }

  TEST_CASE("three panels go round") {
    // Each further panel: a gather, its wait; of dA a reduction, its wait.
    CHECK(check_exchanges(Device::kCpu, 2, 3000, 800, VicregSpec{}) ==
          3 + 2 * (5 + 2 * 2));
    CHECK(check_exchanges(Device::kCpu, 2, 3000, 800, BarlowTwinsSpec{}) ==
          5 + 7 + 2 * 4);
    CHECK(check_exchanges(Device::kCpu, 2, 3000, 800,
                          BarlowTwinsSpec{.lambda = 0}) == 5 + 4 + 2 * 2);
  }

  TEST_CASE("products with a process's columns: one and its gradients") {
    for (const int ranks : {1, 4}) {
      // 2 N D x D / R each, N = 3 R.
      const double product = 2 * 3 * 256, g = 8 * 256.0 / ranks;
      const auto views = [&](double products, double gs, VicregSpec spec) {
        check_work(ranks, products * product, gs * g,
                   [&](Graph& graph, Value z, const SharedBatch& batch) {
                     vicreg(graph, z, spec, batch);
                   });
      };
      views(4, 2, {});
      views(2, 0, {.covariance = 0});
      const auto twins = [&](double products, double gs, BarlowTwinsSpec spec) {
        check_work(ranks, products * product, gs * g,
                   [&](Graph& graph, Value z, const SharedBatch& batch) {
                     barlow_twins(graph, z, spec, batch);
                   });
      };
      twins(3, 1, {});
      twins(1, 0, {.lambda = 0});
      twins(1, 0, {.scale = 0});
    }
  }

  TEST_CASE("the process with the widest slab takes the most memory") {
    std::size_t most[3] = {};
    int told = -1;
    for (int rank = 0; rank < 3; ++rank) {
      const auto place = dist::make_planned_communicator(rank, 3);
      Parameters p;
      Graph g(p);
      // Slabs of 16, 16 and 32 units.
      barlow_twins(g, g.input("z", {2 * 300, 64}, DType::kF32), {},
                   {place.get(), 900});
      const Node& node = g.nodes()[0];
      const auto request = request_for(g, node, Device::kCpu);
      most[rank] = node.workspace(request);
      CHECK(most[rank] == node.make(request)->workspace_bytes());
      told = node.largest_rank;
    }
    CHECK(told == 2);
    CHECK(most[2] > most[0]);
    CHECK(most[2] > most[1]);
  }
}

}  // namespace
