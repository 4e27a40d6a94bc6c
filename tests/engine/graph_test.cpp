#include "engine/graph/graph.h"

#include <doctest/doctest.h>

#include <functional>
#include <vector>

#include "engine/core/rng.h"
#include "engine/graph/autograd.h"
#include "engine/ops/add.h"
#include "engine/ops/avg_pool.h"
#include "engine/ops/batch_norm.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/cross_entropy.h"
#include "engine/ops/global_avg_pool.h"
#include "engine/ops/image_normalize.h"
#include "engine/ops/linear.h"
#include "engine/ops/max_pool.h"
#include "engine/ops/reduce.h"
#include "engine/ops/relu.h"
#include "engine/ops/scale.h"
#include "engine/ops/segment_softmax.h"
#include "engine/ops/reshape.h"
#include "engine/ops/stop_gradient.h"
#include "tests/support/golden.h"
#include "tests/support/graph_run.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using namespace music::test;

// Records a loss on `count` parameters of shape [3,3], runs it, and returns
// their gradients.
std::vector<std::vector<float>> gradients(
    Parameters& p, int count,
    const std::function<Value(Graph&, const std::vector<Value>&)>& loss,
    double seed = 1) {
  Graph g(p);
  std::vector<Value> values;
  for (int i = 0; i < count; ++i) values.push_back(g.parameter(i));
  backward(g, loss(g, values), g.constant({1}, seed));
  BoundExecutable run(std::move(g), p);
  run->run();
  std::vector<std::vector<float>> result;
  for (int i = 0; i < count; ++i) result.push_back(floats(p.gradient(i)));
  return result;
}

struct Matrices : Parameters {
  explicit Matrices(int count) {
    for (int i = 0; i < count; ++i)
      add(fmt::format("m{}", i), {3, 3}, Init::uniform(1));
    allocate(true);
    initialise(1);
  }
};

TEST_SUITE("graph") {
  TEST_CASE("a value used three times gets the sum of three gradients") {
    Matrices p(1);
    const auto d = gradients(p, 1, [](Graph& g, const std::vector<Value>& v) {
      const Value y = stop_gradient(g, v[0]);
      return reduce(g, add(g, add(g, v[0], v[0]), add(g, v[0], y)),
                    ReduceKind::kSum);
    });
    CHECK(d[0] == std::vector<float>(9, 3));
  }

  TEST_CASE("a reshape keeps elements and gradients in their order") {
    Matrices p(2);
    const auto loss = [](Graph& g, const std::vector<Value>& v) {
      const Value x = reshape(g, v[0], {1, 9}), w = reshape(g, v[1], {1, 9});
      return reduce(g, linear(g, x, w, {}), ReduceKind::kSum);
    };
    const auto d = gradients(p, 2, loss);
    CHECK(d[0] == floats(p.value(1)));
    CHECK(d[1] == floats(p.value(0)));
    Graph g(p);
    CHECK_THROWS_WITH_AS(
        reshape(g, g.parameter(0), {2, 4}),
        "[reshape] [3,3] to [2,4]: expected as many elements", Error);
  }

  TEST_CASE("a weight used twice: sum over both uses") {
    // loss = sum (x w^T) w^T; d/dw = 1^T x w^T ... against finite sums.
    Matrices p(2);
    const auto loss = [](Graph& g, const std::vector<Value>& v) {
      return reduce(g, linear(g, linear(g, v[0], v[1], {}), v[1], {}),
                    ReduceKind::kSum);
    };
    const auto d = gradients(p, 2, loss);
    const auto x = floats(p.value(0)), w = floats(p.value(1));
    const auto at = [](int i, int j) {
      return static_cast<std::size_t>(3 * i + j);
    };
    for (int o = 0; o < 3; ++o)
      for (int i = 0; i < 3; ++i) {
        double expected = 0;
        for (int m = 0; m < 3; ++m) {
          double h = 0, back = 0;  // h[m,i] = sum_j x[m,j] w[i,j]
          for (int j = 0; j < 3; ++j) h += x[at(m, j)] * w[at(i, j)];
          for (int k = 0; k < 3; ++k) back += w[at(k, o)];
          expected += h + back * x[at(m, i)];
        }
        CHECK(near(d[1][at(o, i)], expected, 1e-5));
      }
  }

  TEST_CASE("one graph value per parameter") {
    Matrices p(2);
    Graph g(p);
    CHECK(g.parameter(1) == g.parameter(1));
    CHECK_FALSE(g.parameter(0) == g.parameter(1));
  }

  TEST_CASE("the seed scales every gradient") {
    Matrices p(1);
    const auto loss = [](Graph& g, const std::vector<Value>& v) {
      return reduce(g, relu(g, v[0]), ReduceKind::kMean);
    };
    const auto one = gradients(p, 1, loss);
    const auto many = gradients(p, 1, loss, 1024);
    for (std::size_t i = 0; i < 9; ++i) CHECK(many[0][i] == 1024 * one[0][i]);
  }

  TEST_CASE("a gradient that would end unsaid is an error") {
    Matrices p(1);
    Graph g(p);
    Node node;  // an op whose gradient was forgotten
    node.op = "forgotten";
    node.inputs = {g.parameter(0)};
    Value y;
    {
      const Graph::Scope scope(g, "head");
      y = g.add1(std::move(node), {3, 3});
    }
    CHECK(g.needs_gradient(y));
    const Value both = add(g, g.parameter(0), y);
    CHECK_THROWS_WITH_AS(
        backward(g, reduce(g, both, ReduceKind::kSum), g.constant({1}, 1)),
        "[autograd] head.forgotten has no gradient, but the loss depends on "
        "parameters through it: expected one, or stop_gradient",
        Error);
  }

  TEST_CASE("what the loss does not depend on may lack a gradient") {
    Matrices p(1);
    Graph g(p);
    Node node;
    node.op = "reading";
    node.inputs = {g.parameter(0)};
    g.add1(std::move(node), {1});
    backward(g, reduce(g, g.parameter(0), ReduceKind::kSum),
             g.constant({1}, 1));
  }

  TEST_CASE("scale passes its factor on") {
    Matrices p(1);
    const auto d = gradients(p, 1, [](Graph& g, const std::vector<Value>& v) {
      return reduce(g, scale(g, v[0], g.constant({1}, -3)), ReduceKind::kSum);
    });
    CHECK(d[0] == std::vector<float>(9, -3));
  }

  TEST_CASE("a parameter the loss does not reach is an error") {
    Matrices p(2);
    const auto loss = [](Graph& g, const std::vector<Value>& v) {
      relu(g, v[1]);  // recorded, not part of the loss
      return reduce(g, v[0], ReduceKind::kSum);
    };
    CHECK_THROWS_WITH_AS(
        gradients(p, 2, loss),
        "[autograd] the gradient does not reach m1: expected it to reach every "
        "parameter that is not frozen",
        Error);
    // Frozen it may stay out, or take part without a gradient.
    p.freeze(1);
    for (float& v : p.gradient(1).span<float>()) v = 5;
    CHECK(gradients(p, 2, loss)[1] == std::vector<float>(9, 5));
    const auto d = gradients(p, 2, [](Graph& g, const std::vector<Value>& v) {
      return reduce(g, add(g, v[0], v[1]), ReduceKind::kSum);
    });
    CHECK(d[0] == std::vector<float>(9, 1));
    CHECK(d[1] == std::vector<float>(9, 5));
  }

  // y = relu(m0 x), loss = sum(m1 y) in one graph, and cut at y in two.
  TEST_CASE("a graph in two parts has the gradients of the whole") {
    Matrices p(2);
    const std::vector<float> data = hashed("x", 15, 1);
    const auto head = [](Graph& g, Value y) {
      return reduce(g, linear(g, y, g.parameter(1), Value{}), ReduceKind::kSum);
    };
    const auto body = [](Graph& g, Value* input) {
      *input = g.input("x", {5, 3}, DType::kF32);
      return relu(g, linear(g, *input, g.parameter(0), Value{}));
    };
    Value in;
    Graph whole(p);
    backward(whole, head(whole, body(whole, &in)), whole.constant({1}, 2));
    BoundExecutable all(std::move(whole), p);
    all->set_input(in, data.data());
    all->run();
    const auto d0 = floats(p.gradient(0)), d1 = floats(p.gradient(1));

    Graph first(p);
    const Value y = body(first, &in);
    first.keep(y);
    BoundExecutable forward(std::move(first), p);
    forward->set_input(in, data.data());
    forward->run();

    Graph second(p);
    const Value rows = second.input("rows", {5, 3}, DType::kF32);
    second.info(rows).needs_gradient = true;
    const Value unused = second.input("unused", {5, 3}, DType::kF32);
    second.info(unused).needs_gradient = true;
    const Seed loss[] = {{head(second, rows), second.constant({1}, 2)}};
    const Value wanted[] = {rows, unused};
    const PartialGradients g = backward_part(second, loss, wanted);
    CHECK(g.reached == std::vector<bool>{false, true});
    REQUIRE(g.wanted.size() == 2);
    CHECK_FALSE(g.wanted[1]);
    CHECK_THROWS_AS(require_reached(p, g.reached), Error);
    second.keep(g.wanted[0]);
    BoundExecutable middle(std::move(second), p);
    middle->set_input(rows, forward->tensor(y).data);
    middle->run();
    CHECK(floats(p.gradient(1)) == d1);

    // Two seeds of one value add up; the gradient goes to another block.
    Graph third(p);
    const Value again = body(third, &in);
    const Value dy = third.input("dy", {5, 3}, DType::kF32);
    const Value none = third.constant({5, 3}, 0);
    const Seed seeds[] = {{again, dy}, {again, none}};
    CHECK(backward_part(third, seeds, {}).reached ==
          std::vector<bool>{true, false});
    Executable back(std::move(third), p, {});
    const Buffer arena(back.arena_bytes()), workspace(back.workspace_bytes());
    Buffer block(static_cast<std::size_t>(p.flat_elements()) * sizeof(float));
    back.bind(arena.data(), workspace.data(), block.as<float>());
    back.set_input(in, data.data());
    back.set_input(dy, middle->tensor(g.wanted[0]).data);
    const auto before = floats(p.gradient(0));
    back.run();
    CHECK(floats(p.gradient(0)) == before);
    const float* written = block.as<float>() + p.table()[0].offset;
    CHECK(std::vector<float>(written, written + 9) == d0);

    Graph wrong(p);
    const Value z = body(wrong, &in);
    const Seed short_of[] = {{z, wrong.input("dy", {4, 3}, DType::kF32)}};
    CHECK_THROWS_WITH_AS(
        backward_part(wrong, short_of, {}),
        "[autograd] a seed of shape [4,3] for a value of shape [5,3]", Error);
  }

  TEST_CASE("data needs no gradient: no node computes one") {
    Parameters p;
    const int w = p.add("w", {4, 3, 3, 2}, Init::uniform(1));
    p.allocate(true);
    Graph g(p);
    const Value x = g.input("x", {1, 5, 5, 2}, DType::kF32);
    const Value y = conv2d(g, x, g.parameter(w), {1, 1});
    backward(g, reduce(g, y, ReduceKind::kSum), g.constant({1}, 1));
    for (const Node& n : g.nodes()) CHECK(n.op != "conv2d_backward_data");
  }

  TEST_CASE("scopes nest and name nodes, forward and backward") {
    Matrices p(1);
    Graph g(p);
    Value y;
    {
      Graph::Scope outer(g, "layer1"), inner(g, "conv2");
      y = relu(g, g.parameter(0));
    }
    backward(g, reduce(g, y, ReduceKind::kSum), g.constant({1}, 1));
    CHECK(g.nodes().front().scope == "layer1.conv2");
    CHECK(g.nodes().back().op == "relu_backward");
    CHECK(g.nodes().back().scope == "layer1.conv2");
    CHECK(g.nodes()[1].scope == "");
  }

  TEST_CASE("shapes that do not fit are refused in one line that names them") {
    const Parameters p;
    Graph g(p);
    const auto in = [&](Shape s, DType t = DType::kF32) {
      return g.input("in", s, t);
    };
    const auto refused = [](const std::string& message, auto&& record) {
      CHECK_THROWS_WITH_AS(record(), message.c_str(), Error);
    };
    refused("[add] shapes [2,3] and [3,2] differ",
            [&] { add(g, in({2, 3}), in({3, 2})); });
    refused(
        "[conv2d] input [1,8,8,3] and weight [4,3,3,5] do not fit: expected "
        "[N,H,W,C] and [K,R,S,C]",
        [&] {
          conv2d(g, in({1, 8, 8, 3}), in({4, 3, 3, 5}), {});
        });
    refused("[conv2d] input [1,4,4,3] is smaller than weight [4,7,7,3]",
            [&] { conv2d(g, in({1, 4, 4, 3}), in({4, 7, 7, 3}), {1, 1}); });
    refused("[linear] input [2,3] and weight [4,5] do not fit: expected [M,I] "
            "and [O,I]",
            [&] { linear(g, in({2, 3}), in({4, 5}), {}); });
    refused("[linear] bias [3] with weight [4,3]",
            [&] { linear(g, in({2, 3}), in({4, 3}), in({3})); });
    const auto norm = [&](Shape x, Shape c, Value residual, int groups) {
      batch_norm(g, in(x), in(c), in(c), {}, {}, residual, {.groups = groups});
    };
    refused("[batch_norm] batch 3 does not divide into 2 groups",
            [&] { norm({3, 8}, {8}, {}, 2); });
    refused("[batch_norm] input [4,8] with per-channel tensor [7]",
            [&] { norm({4, 8}, {7}, {}, 1); });
    refused("[batch_norm] residual [4,7] on input [4,8]",
            [&] { norm({4, 8}, {8}, in({4, 7}), 1); });
    refused("[batch_norm] running mean and variance come together", [&] {
      batch_norm(g, in({4, 8}), in({8}), in({8}), in({8}), {}, {}, {});
    });
    refused("[batch_norm] evaluation needs running statistics", [&] {
      batch_norm_inference(g, in({4, 8}), in({8}), in({8}), {}, {}, {}, {});
    });
    refused("[max_pool] input [1,1,9,3] is smaller than the window 5",
            [&] { max_pool(g, in({1, 1, 9, 3}), {5, 2, 1}); });
    refused("[max_pool] size 3, stride 2, pad 2",
            [&] { max_pool(g, in({1, 9, 9, 3}), {3, 2, 2}); });
    refused("[avg_pool] input [1,5,9,3] with windows of 6, stride 1",
            [&] { AvgPoolSpec::windows({1, 5, 9, 3}, 6, 1); });
    refused("[avg_pool] input [1,5,9,3] with 2 x 2 windows of 4 x 5, strides 3 and "
            "4", [&] {
      avg_pool(g, in({1, 5, 9, 3}), AvgPoolSpec::two({1, 7, 9, 3}));
    });
    refused("[global_avg_pool] input [4,8], expected [N,H,W,C]",
            [&] { global_avg_pool(g, in({4, 8})); });
    refused("[image_normalize] input F32 [1,2,2,3], expected U8 [N,H,W,3]",
            [&] { image_normalize(g, in({1, 2, 2, 3}), {}); });
    refused("[segment_softmax] input [2,9] with segments that end at 8",
            [&] { segment_softmax(g, in({2, 9}), {{0, 4, 8}, 1}); });
    refused("[segment_softmax] segment 1 is empty",
            [&] { segment_softmax(g, in({2, 8}), {{0, 4, 4, 8}, 1}); });
    refused("[cross_entropy] logits [2,5] with labels I32 [3]: expected [M,K] "
            "and I32 [M]",
            [&] { cross_entropy(g, in({2, 5}), in({3}, DType::kI32)); });
    refused("[autograd] loss has shape [2,3], expected one element",
            [&] { backward(g, in({2, 3}), in({1})); });
    refused("[graph] sum of no values", [&] { g.sum({}); });
  }

  TEST_CASE("an executable that is not ready says so") {
    Matrices p(1);
    Graph g(p);
    reduce(g, g.parameter(0), ReduceKind::kSum);
    Executable unbound(std::move(g), p, {});
    CHECK_THROWS_WITH_AS(unbound.run(), "[executable] run() before bind()",
                         Error);
  }
}

}  // namespace
