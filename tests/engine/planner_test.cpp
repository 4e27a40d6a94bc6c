#include "engine/graph/planner.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "engine/core/rng.h"
#include "engine/graph/autograd.h"
#include "engine/ops/add.h"
#include "engine/ops/reduce.h"
#include "engine/ops/relu.h"
#include "layers/resnet.h"
#include "tests/support/graph_run.h"

namespace {

using namespace music;
using namespace music::test;

constexpr int kImages = 4, kSize = 16;

struct SmallResNet {
  Parameters parameters;
  ResNet net;

  explicit SmallResNet(int depth)
      : net(parameters, "", {.depth = depth, .width = 8, .stem = Stem::kCifar,
                             .zero_init_residual = false}) {
    parameters.allocate(true);
    parameters.initialise(3);
  }
  // Training graph; the loss is kept.
  Graph graph(Value* images, Value* loss) const {
    Graph g(parameters);
    *images = g.input("images", {kImages, kSize, kSize, 3}, DType::kF32);
    *loss = reduce(g, net.forward(g, *images, {.training = true, .groups = 2}),
                   ReduceKind::kMean);
    g.keep(*loss);
    backward(g, *loss, g.constant({1}, 1));
    return g;
  }
};

std::vector<float> images() {
  Rng rng(1, RngPurpose::kTest);
  std::vector<float> x(kImages * kSize * kSize * 3);
  for (float& v : x) v = static_cast<float>(rng.normal());
  return x;
}

// Every bit the step leaves behind: loss, gradients, running statistics.
std::vector<float> outcome(int depth, bool reuse, std::size_t* arena) {
  SmallResNet model(depth);
  Value input, loss;
  Graph g = model.graph(&input, &loss);
  BoundExecutable step(std::move(g), model.parameters, {.reuse_memory = reuse});
  *arena = step->arena_bytes();
  const auto x = images();
  step->set_input(input, x.data());
  step->run();
  step->run();  // the second run finds the first one's bytes
  std::vector<float> result = floats(step->tensor(loss));
  const Parameters& p = model.parameters;
  result.insert(result.end(), p.flat_gradients(),
                p.flat_gradients() + p.flat_elements());
  for (std::size_t i = 0; i < p.buffers().size(); ++i) {
    const auto b = floats(p.buffer(static_cast<int>(i)));
    result.insert(result.end(), b.begin(), b.end());
  }
  return result;
}

// Values that share bytes while both are needed, found by trying all pairs:
// a value is needed from the node that writes it to the last that reads it.
// An output may take an input's bytes only where the op says so.
int conflicts(const Graph& graph, const Plan& plan) {
  const int end = static_cast<int>(graph.nodes().size());
  struct Life { int first, last; std::size_t begin, end; };
  std::vector<Life> lives(graph.values().size(), {end, -1, 0, 0});
  for (std::size_t i = 0; i < lives.size(); ++i) {
    const ValueInfo& v = graph.values()[i];
    Life& life = lives[i];
    for (int n = 0; n < end; ++n) {
      const Node& node = graph.nodes()[static_cast<std::size_t>(n)];
      const Value value{static_cast<int>(i)};
      for (Value o : node.outputs)
        if (o == value) life.first = life.last = n;
      for (Value in : node.inputs)
        if (in == value) life.last = n;
    }
    if (v.keep) life.last = end;
    life.begin = plan.offset[i];
    life.end = life.begin +
               static_cast<std::size_t>(v.shape.elements()) * size_of(v.dtype);
  }
  const auto in_place = [&](std::size_t out, std::size_t in) {
    if (lives[out].first >= end || lives[in].last != lives[out].first ||
        lives[in].begin != lives[out].begin)
      return false;
    const Node& node =
        graph.nodes()[static_cast<std::size_t>(lives[out].first)];
    for (std::size_t o = 0; o < node.outputs.size(); ++o)
      if (node.outputs[o] == Value{static_cast<int>(out)})
        return node.in_place[o] >= 0 &&
               node.inputs[static_cast<std::size_t>(node.in_place[o])] ==
                   Value{static_cast<int>(in)};
    return false;
  };
  int found = 0;
  const auto planned = [&](std::size_t i) {
    return graph.values()[i].storage == Storage::kPlanned;
  };
  for (std::size_t a = 0; a < lives.size(); ++a)
    for (std::size_t b = a + 1; b < lives.size(); ++b) {
      if (!planned(a) || !planned(b)) continue;
      const Life &x = lives[a], &y = lives[b];
      const bool same_bytes = x.begin < y.end && y.begin < x.end;
      const bool same_time = x.first <= y.last && y.first <= x.last;
      if (same_bytes && same_time && !in_place(a, b) && !in_place(b, a))
        ++found;
    }
  return found;
}

// A node of no op: what the planner may see, whatever the ops declare today.
void random_graph(Graph& g, std::uint32_t stream) {
  Rng rng(5, RngPurpose::kTest, stream);
  std::vector<Value> values = {g.input("x", {1}, DType::kF32)};
  const auto any = [&] {
    return values[rng.below(static_cast<std::uint32_t>(values.size()))];
  };
  for (int n = 0; n < 40; ++n) {
    Node node;
    node.op = "random";
    for (std::uint32_t i = 0, k = 1 + rng.below(3); i < k; ++i)
      node.inputs.push_back(any());
    std::vector<OutputSpec> outputs;
    for (std::uint32_t o = 0, k = 1 + rng.below(3); o < k; ++o) {
      const int from = static_cast<int>(rng.below(4)) - 1;
      const bool fits = from < static_cast<int>(node.inputs.size());
      node.in_place.push_back(fits ? from : -1);
      const bool same = fits && from >= 0 && rng.bernoulli(0.8);
      outputs.push_back(
          {same ? g.shape(node.inputs[static_cast<std::size_t>(from)])
                : Shape{1 + rng.below(300)}});
    }
    for (Value v : g.add(std::move(node), outputs)) {
      values.push_back(v);
      if (rng.bernoulli(0.1)) g.keep(v);
    }
  }
}

TEST_SUITE("planner") {
  TEST_CASE("with and without re-use: the same bits, less memory") {
    for (const int depth : {18, 50}) {
      CAPTURE(depth);
      std::size_t with = 0, without = 0;
      const auto a = outcome(depth, true, &with);
      const auto b = outcome(depth, false, &without);
      REQUIRE(a.size() == b.size());
      CHECK(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
      CHECK(with < 0.75 * static_cast<double>(without));
    }
  }

  TEST_CASE("no two values of a ResNet share bytes while both are needed") {
    for (const int depth : {18, 50}) {
      SmallResNet model(depth);
      Value input, loss;
      const Graph g = model.graph(&input, &loss);
      const Plan plan = plan_memory(g);
      CHECK(conflicts(g, plan) == 0);
      CHECK(plan.bytes < plan.bytes_without_reuse);
      CHECK(plan_memory(g, false).bytes == plan.bytes_without_reuse);
      CHECK(conflicts(g, plan_memory(g, false)) == 0);
    }
  }

  TEST_CASE(
      "no two values of random graphs share bytes while both are needed") {
    const Parameters p;
    int bad = 0, shared = 0;
    for (std::uint32_t i = 0; i < 300; ++i) {
      Graph g(p);
      random_graph(g, i);
      const Plan plan = plan_memory(g);
      bad += conflicts(g, plan);
      shared += plan.bytes < plan.bytes_without_reuse;
      for (std::size_t v = 0; v < g.values().size(); ++v) {
        const ValueInfo& info = g.values()[v];
        if (info.storage != Storage::kPlanned) continue;
        const std::size_t bytes =
            static_cast<std::size_t>(info.shape.elements()) * sizeof(float);
        if (plan.offset[v] + bytes > plan.bytes || plan.offset[v] % 64 != 0)
          ++bad;
      }
    }
    CHECK(bad == 0);
    CHECK(shared == 300);
  }

  TEST_CASE("an input's bytes are taken over where the op allows and it dies") {
    const Parameters p;
    Graph g(p);
    const Value x = g.input("x", {100}, DType::kF32);
    const Value a = relu(g, x), b = relu(g, a), c = add(g, a, b);
    const Plan plan = plan_memory(g);
    const auto offset = [&](Value v) {
      return plan.offset[static_cast<std::size_t>(v.id)];
    };
    CHECK(offset(b) != offset(a));  // a is read again by c
    CHECK(offset(c) == offset(a));
    CHECK(plan.bytes == 2 * aligned(400));
    Graph kept(p);
    const Value y = relu(kept, kept.input("x", {100}, DType::kF32));
    kept.keep(y);
    relu(kept, y);
    CHECK(plan_memory(kept).bytes == 2 * aligned(400));
  }

  TEST_CASE("the NaN tracer names the first bad node") {
    SmallResNet model(18);
    int index = -1;
    for (std::size_t i = 0; i < model.parameters.table().size(); ++i)
      if (model.parameters.table()[i].name == "layer2.0.conv1.weight")
        index = static_cast<int>(i);
    REQUIRE(index >= 0);
    model.parameters.value(index).f32()[5] =
        std::numeric_limits<float>::quiet_NaN();
    const auto x = images();
    const auto run = [&](ExecutableOptions options) {
      Value input, loss;
      Graph g = model.graph(&input, &loss);
      BoundExecutable step(std::move(g), model.parameters, options);
      step->set_input(input, x.data());
      step->run();
    };
    CHECK_NOTHROW(run({}));
    std::string message;
    try {
      run({.check_finite = true});
    } catch (const Error& e) {
      CHECK(e.code() == ExitCode::kNumerical);
      message = e.what();
    }
    CHECK(message.starts_with("[nan] node "));
    CHECK(message.find("(conv2d in layer2.0.conv1)") != std::string::npos);
    CHECK(message.find("layer2.0.conv1.weight[16,3,3,8]") != std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
  }

  TEST_CASE("debug modes come from the environment") {
    CHECK_FALSE(executable_options_from_environment().check_finite);
    CHECK(executable_options_from_environment().reuse_memory);
    setenv("MUSIC_CHECK_NAN", "1", 1);
    setenv("MUSIC_PLANNER", "off", 1);
    CHECK(executable_options_from_environment().check_finite);
    CHECK_FALSE(executable_options_from_environment().reuse_memory);
    unsetenv("MUSIC_CHECK_NAN");
    unsetenv("MUSIC_PLANNER");
  }
}

}  // namespace
