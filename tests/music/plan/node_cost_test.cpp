// What nodes say that they cost, and a plan that knows none of them by name.
#include "music/plan/node_cost.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "dist/gather_rows.h"
#include "dist/planned.h"
#include "dist/sum_over_ranks.h"
#include "engine/graph/autograd.h"
#include "engine/ops/add.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/linear.h"
#include "engine/ops/reduce.h"
#include "engine/ops/relu.h"
#include "music/loss/joint_entropy.h"
#include "music/plan/step_model.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using test::near;
using Kind = dist::Collective::Kind;

// Of the only node of this name.
NodeWork work_named(const Graph& g, const std::string& op) {
  NodeWork work;
  int found = 0;
  for (const Node& n : g.nodes())
    if (n.op == op) work = work_of(g, n), ++found;
  CHECK_MESSAGE(found == 1, op);
  return work;
}

void check(const NodeWork& work, double flops, double bytes) {
  CHECK(work.flops == flops);
  CHECK(work.bytes == bytes);
}

struct Convolution : Parameters {
  Graph graph;
  Convolution(const Shape& weights, const Shape& image, Conv2dSpec spec)
      : graph((add("first", {image[3], 1, 1, image[3]}, {}),
               add("w", weights, {}), set_storage({.training = true}), *this)) {
    Graph& g = graph;
    const Value x = g.input("x", image, DType::kF32);
    const Value y = conv2d(g, relu(g, conv2d(g, x, g.parameter(0), {})),
                           g.parameter(1), spec);
    backward(g, reduce(g, y, ReduceKind::kSum), g.constant({1}, 1));
  }
  // Of the second convolution and its gradients.
  std::vector<NodeWork> work(const std::string& op) const {
    std::vector<NodeWork> all;
    for (const Node& n : graph.nodes())
      if (n.op == op) all.push_back(work_of(graph, n));
    return all;
  }
};

TEST_SUITE("node_cost") {
  TEST_CASE("convolutions: forward and both gradients") {
    // [2,6,6,4] by [8,3,3,4], padded: 2*6*6*8 results of 36 products each.
    const Convolution c({8, 3, 3, 4}, {2, 6, 6, 4}, {.stride = 1, .pad = 1});
    const double flops = 2.0 * 576 * 36, bytes = 4.0 * (288 + 288 + 576);
    check(c.work("conv2d")[1], flops, bytes);
    check(c.work("conv2d_backward_weights")[0], flops, bytes);
    check(c.work("conv2d_backward_data")[0], flops, bytes);
    // Nothing but its tensors.
    check(c.work("relu")[0], 0, 4.0 * (288 + 288));
  }

  TEST_CASE("a 1x1 convolution of stride 2 reads a quarter") {
    const Convolution c({8, 1, 1, 4}, {2, 6, 6, 4}, {.stride = 2});
    check(c.work("conv2d")[1], 2.0 * 144 * 4, 4.0 * (288 / 4 + 32 + 144));
    check(c.work("conv2d_backward_weights")[0], 2.0 * 144 * 4,
          4.0 * (288 + 32 + 144));
  }

  TEST_CASE("linear: forward and all gradients") {
    Parameters p;
    p.add("first", {5, 5}, {});
    p.add("w", {7, 5}, {});
    p.add("b", {7}, {});
    p.set_storage({.training = true});
    Graph g(p);
    const Value x = g.input("x", {3, 5}, DType::kF32);
    const Value h = relu(g, linear(g, x, g.parameter(0), {}));
    const std::size_t second = g.nodes().size();
    const Value y = linear(g, h, g.parameter(1), g.parameter(2));
    check(work_of(g, g.nodes()[second]), 2.0 * 21 * 5, 4.0 * (15 + 35 + 7 + 21));
    const std::size_t gradients = g.nodes().size();
    backward(g, reduce(g, y, ReduceKind::kSum), g.constant({1}, 1));
    int seen = 0;
    for (std::size_t n = gradients; n < g.nodes().size() && seen < 3; ++n) {
      const std::string& op = g.nodes()[n].op;
      if (!op.starts_with("linear")) continue;
      const bool bias = op == "linear_backward_bias";
      check(work_of(g, g.nodes()[n]), bias ? 0 : 2.0 * 21 * 5,
            4.0 * (bias ? 21 + 7 : 15 + 35 + 21));
      ++seen;
    }
    CHECK(seen == 3);
  }

  TEST_CASE("linear by rows that are no parameter: the same") {
    // SimCLR's similarities of 3 of 6 rows, queries by a queue of 9 keys.
    const auto place = dist::make_planned_communicator(0, 2);
    Parameters p;
    p.add("z", {3, 5}, {});
    p.add_buffer("queue", {9, 5}, 0);
    p.set_storage({.training = true});
    Graph g(p);
    const Value z = g.parameter(0);
    const Value all = dist::gather_rows(g, z, *place, 6);
    const Value y = linear(g, z, all, {}), keys = linear(g, z, g.buffer(0), {});
    check(work_of(g, g.nodes()[1]), 2.0 * 3 * 6 * 5, 4.0 * (15 + 30 + 18));
    check(work_of(g, g.nodes()[2]), 2.0 * 3 * 9 * 5, 4.0 * (15 + 45 + 27));
    const std::size_t gradients = g.nodes().size();
    backward(g, add(g, reduce(g, y, ReduceKind::kSum),
                    reduce(g, keys, ReduceKind::kSum)),
             g.constant({1}, 1));
    double flops = 0, exchanges = 0;
    for (std::size_t n = gradients; n < g.nodes().size(); ++n) {
      flops += work_of(g, g.nodes()[n]).flops;
      exchanges += only_exchanges(g.nodes()[n]);
    }
    // Of z from both, of the rows of all, which are summed; none of the queue.
    CHECK(flops == 2.0 * 3 * 5 * (6 + 6 + 9));
    CHECK(exchanges == 1);
  }

  TEST_CASE("the loss: three products with this process's columns of P") {
    for (const int ranks : {1, 4}) {
      const auto place = dist::make_planned_communicator(1 % ranks, ranks);
      Parameters p;
      Graph g(p);
      const Value z = g.input("z", {2 * 3, 16}, DType::kF32);
      joint_entropy(g, z, Segments::equal(16, 4), {}, {place.get(), 3 * ranks});
      const NodeWork work = work_named(g, "joint_entropy");
      const double tensors = 4 * (96 + 1 + 96 + 32) + 8 * 4;
      check(work, 6.0 * 3 * ranks * 256 / ranks,
            tensors + 4.0 * 256 / ranks);
      CHECK((g.nodes()[0].exchanges != nullptr) == (ranks > 1));
      CHECK_FALSE(only_exchanges(g.nodes()[0]));
    }
  }

  TEST_CASE("a sum over ranks is an exchange alone, and x where there is one") {
    Parameters p;
    Graph g(p);
    const Value x = g.input("x", {7}, DType::kF64);
    const auto alone = dist::make_planned_communicator(0, 1);
    CHECK(dist::sum_over_ranks(g, x, *alone) == x);
    const auto many = dist::make_planned_communicator(2, 3);
    CHECK_FALSE(dist::sum_over_ranks(g, x, *many) == x);
    REQUIRE(g.nodes().size() == 1);
    CHECK(only_exchanges(g.nodes()[0]));
    check(work_of(g, g.nodes()[0]), 0, 0);
    CHECK(node_seconds(g, processor("h100")) == std::vector<double>{0});
  }

  // Two exchanges in the background of an op that nobody has heard of, the
  // second longer than what is computed beside it, and one that blocks.
  TEST_CASE("a node that no plan knows is priced by what it says") {
    Parameters p;
    p.add("w", {4, 4}, {});
    p.set_storage({.training = true});
    const auto place = dist::make_planned_communicator(0, 2);
    Graph g(p);
    const Value x = g.input("x", {4, 4}, DType::kF32);
    backward(g, reduce(g, linear(g, x, g.parameter(0), {}), ReduceKind::kSum),
             g.constant({1}, 1));
    Node node;
    node.op = "unheard_of";
    node.inputs = {x};
    node.work = [](const Graph&, const Node&) { return NodeWork{6e9, 0}; };
    node.exchanges = [](dist::Timetable& t) {
      const dist::Ticket first = t.start(Kind::kAllGather, 1e6);   // 1 ms
      const dist::Ticket second = t.start(Kind::kAllToAll, 3e6);   // to 4 ms
      t.compute(1, 3);                                             // to 2 ms
      t.wait(first);                                               // is there
      t.wait(second);                                              // 2 ms
      t.compute(2, 3);                                             // to 8 ms
      t.charge(dist::Timetable::Account::kNorm);
      t.run(Kind::kAllReduce, 5e6);                                // to 13 ms
    };
    g.add1(std::move(node), {1});
    const dist::GradientReducer reducer(*place, p);
    StepModel m;
    m.graph = &g;
    m.reducer = &reducer;
    m.layout = {1, 2};
    m.net = Interconnect::fixed(0, 1);
    const Processor slow{.name = "slow", .flops = 1e12};
    m.node_seconds = node_seconds(g, slow);
    CHECK(m.node_seconds.back() == 6e-3);
    // Before it, 256 operations, whose 64 bytes of gradients are exchanged.
    const double before = 256e-12, gradients = 64e-9;
    const StepPrediction s = predict(m);
    CHECK(near(s.exposed_loss, 2e-3 + gradients, 1e-12));
    CHECK(near(s.exposed_norm, 5e-3, 1e-12));
    CHECK(near(s.seconds, 13e-3 + before + gradients, 1e-12));
    REQUIRE(s.collectives.size() == 4);
    CHECK(s.collectives[1].kind == Kind::kAllGather);
    CHECK_FALSE(s.collectives[2].blocking);
    CHECK(s.collectives[3].blocking);
    CHECK(s.collectives[3].bytes == 5e6);
  }
}

}  // namespace
