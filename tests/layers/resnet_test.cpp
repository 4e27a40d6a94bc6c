#include "layers/resnet.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "engine/graph/autograd.h"
#include "layers/init.h"
#include "tests/support/golden.h"
#include "tests/support/graph_run.h"
#include "tests/support/margin.h"
#include "tests/support/network.h"

namespace {

using namespace music;
using namespace music::test;

// fnv1a32 of "name[d0,d1,...]\n" over a list of tensors, in its order and in
// PyTorch's shapes.
std::uint32_t fingerprint(std::span<const ParameterInfo> table) {
  std::uint32_t key = 0x811C9DC5u;
  for (const ParameterInfo& p : table)
    for (unsigned char c : fmt::format(
             "{}[{}]\n", p.name, fmt::join(torch_shape(p.shape), ",")))
      key = (key ^ c) * 0x01000193u;
  return key;
}

struct Encoder {
  Parameters parameters;
  ResNet net;

  explicit Encoder(const ResNetSpec& spec, bool training = true)
      : net(parameters, "", spec) {
    parameters.allocate(training);
  }
};

int index_of(const Parameters& p, const std::string& name) {
  for (std::size_t i = 0; i < p.table().size(); ++i)
    if (p.table()[i].name == name) return static_cast<int>(i);
  FAIL("no parameter " << name);
  return -1;
}

// Forward, every gradient, running statistics and the evaluation mode.
void check_golden(const std::string& name, const ResNetSpec& spec) {
  CAPTURE(name);
  const Golden golden(name);
  const Dims s = golden.integers("images_shape");
  const auto images = hashed_images(
      fmt::format("images{}", golden.integers("seed")[0]), s);
  Encoder encoder(spec);
  Parameters& p = encoder.parameters;
  hash_parameters(p);
  const Shape input{s[0], s[2], s[3], s[1]};
  {
    Graph g(p);
    const Value x = g.input("images", input, DType::kF32);
    const Value y = encoder.net.forward(g, x, {.training = true});
    const Value dy = g.input("loss_weights", g.shape(y), DType::kF32);
    g.keep(y);
    backward(g, inject_gradient(g, y, dy), g.constant({1}, 1));
    BoundExecutable step(std::move(g), p);
    step->set_input(x, images.data());
    const auto weights =
        hashed("loss_weights", step->tensor(y).elements(), 2);
    step->set_input(dy, weights.data());
    step->run();
    const double error =
        golden.error_of("", "features", floats(step->tensor(y)));
    CHECK(within(error, 1e-5, name));
    MESSAGE(name << ": forward error " << error);
  }
  double worst = 0;
  std::string worst_name;
  for (std::size_t i = 0; i < p.table().size(); ++i) {
    const std::string& tensor = p.table()[i].name;
    CAPTURE(tensor);
    const double error = golden.gradient_error(
        tensor, in_torch_layout(p.gradient(static_cast<int>(i))));
    CHECK(within(error, 1e-4, name));
    if (!(error <= worst)) worst = error, worst_name = tensor;
  }
  MESSAGE(name << ": worst gradient error " << worst << " at " << worst_name);
  for (std::size_t i = 0; i < p.buffers().size(); ++i) {
    const std::string& tensor = p.buffers()[i].name;
    CAPTURE(tensor);
    CHECK(within(golden.error_of("running/", tensor,
                                 floats(p.buffer(static_cast<int>(i)))),
                 1e-5));
  }
  for (const bool fold : {false, true}) {
    Graph g(p);
    const Value x = g.input("images", input, DType::kF32);
    const Value y = encoder.net.forward(g, x, {.training = false, .fold = fold});
    g.keep(y);
    const auto norms = std::count_if(
        g.nodes().begin(), g.nodes().end(),
        [](const Node& n) { return n.op == "batch_norm_inference"; });
    CHECK((norms == 0) == fold);
    BoundExecutable evaluation(std::move(g), p);
    evaluation->set_input(x, images.data());
    evaluation->run();
    CHECK(within(
        golden.error_of("", "eval_features", floats(evaluation->tensor(y))),
        1e-5, fold ? "folded" : ""));
  }
}

TEST_SUITE("resnet") {
  // Counts and fingerprints computed with torchvision 0.14, without fc.
  TEST_CASE("names, order, shapes and counts are torchvision's") {
    struct Expected {
      int depth;
      std::int64_t count;
      std::uint32_t parameters, buffers;
    };
    for (const Expected& e :
         {Expected{18, 11176512, 0x2D108489, 0xEE2F0051},
          Expected{34, 21284672, 0xC55F9E4B, 0x7ADDB4EF},
          Expected{50, 23508032, 0xDE046218, 0x882AE8ED},
          Expected{101, 42500160, 0x4251DF13, 0x9597E64D}}) {
      CAPTURE(e.depth);
      Parameters p;
      const ResNet net(p, "", {.depth = e.depth});
      CHECK(p.count() == e.count);
      CHECK(fingerprint(p.table()) == e.parameters);
      CHECK(fingerprint(p.buffers()) == e.buffers);
      CHECK(net.spec().features() == (e.depth < 50 ? 512 : 2048));
    }
  }

  TEST_CASE("every tensor of the golden networks is one of ours") {
    for (const auto& [name, spec] :
         {std::pair<std::string, ResNetSpec>{"resnet18", {.depth = 18}},
          {"resnet50", {.depth = 50}},
          {"resnet50_narrow", {.depth = 50, .width = 8}}}) {
      CAPTURE(name);
      const Golden golden(name);
      Parameters p;
      const ResNet net(p, "", spec);
      std::size_t gradients = 0;
      for (const auto& key : golden.file().names())
        gradients += key.starts_with("grad/") || key.starts_with("grad_norm/");
      CHECK(gradients == p.table().size());
      for (const auto& t : p.table()) {
        CAPTURE(t.name);
        CHECK((golden.has("grad/" + t.name) ||
               golden.has("grad_norm/" + t.name)));
      }
      for (const auto& t : p.buffers()) {
        CAPTURE(t.name);
        CHECK(golden.has("running/" + t.name));
      }
    }
  }

  TEST_CASE("a prefix stands before every name") {
    Parameters p;
    const ResNet net(p, "backbone", {.depth = 18});
    for (const auto& t : p.table()) CHECK(t.name.starts_with("backbone."));
    for (const auto& t : p.buffers()) CHECK(t.name.starts_with("backbone."));
  }

  TEST_CASE("ResNet-18 follows PyTorch") {
    check_golden("resnet18", {.depth = 18});
    check_golden("resnet18_cifar", {.depth = 18, .stem = Stem::kCifar});
  }

  TEST_CASE("ResNet-50 follows PyTorch") {
    check_golden("resnet50_narrow", {.depth = 50, .width = 8});
#ifndef MUSIC_TESTS_SHORT
    check_golden("resnet50", {.depth = 50});
#endif
  }

  TEST_CASE("initial weights: kaiming normal by fan-out, or PyTorch's") {
    struct Expected { InitScheme scheme; double std, bound; };
    // layer2.0.conv2 [128,3,3,128]: fan_in = fan_out = 1152.
    for (const Expected& e :
         {Expected{InitScheme::kKaimingFanOut, std::sqrt(2.0 / 1152), 0},
          Expected{InitScheme::kPyTorch, std::sqrt(1.0 / 3456),
                   std::sqrt(1.0 / 1152)}}) {
      Encoder encoder({.depth = 18, .init = e.scheme}, false);
      Parameters& p = encoder.parameters;
      p.initialise(1);
      const auto w =
          p.value(index_of(p, "layer2.0.conv2.weight")).span<float>();
      const double n = static_cast<double>(w.size());
      double sum = 0, square = 0, largest = 0;
      for (const double v : w) {
        sum += v, square += v * v;
        largest = std::max(largest, std::abs(v));
      }
      // Four standard errors.
      CHECK(within(std::abs(sum / n), 4 * e.std / std::sqrt(n)));
      CHECK(within(relative_error(std::sqrt(square / n), e.std),
                   4 / std::sqrt(2 * n)));
      if (e.bound > 0) {
        CHECK(largest <= e.bound);
        CHECK(largest > 0.999 * e.bound);
      } else {
        CHECK(largest > 4 * e.std);  // a normal has tails
        CHECK(largest < 6 * e.std);
      }
    }
  }

  TEST_CASE("fan-out and fan-in are told apart where they differ") {
    const Shape w{256, 3, 3, 64};
    CHECK(near(conv_init(w, InitScheme::kKaimingFanOut).value,
               std::sqrt(2.0 / (256 * 9)), 1e-12));
    CHECK(near(conv_init(w, InitScheme::kPyTorch).value,
               1 / std::sqrt(64.0 * 9), 1e-12));
  }

  TEST_CASE("batch norms start at 1 and 0; the last of each branch at 0") {
    for (const bool zero : {true, false})
      for (const int depth : {18, 50}) {
        Encoder encoder(
            {.depth = depth, .width = 8, .zero_init_residual = zero}, false);
        Parameters& p = encoder.parameters;
        p.initialise(1);
        const std::string last = depth == 18 ? ".bn2.weight" : ".bn3.weight";
        for (std::size_t i = 0; i < p.table().size(); ++i) {
          const auto& t = p.table()[i];
          if (t.shape.rank() != 1) continue;
          CAPTURE(t.name);
          const bool gamma = t.name.ends_with("weight");
          const float expected =
              !gamma || (zero && t.name.ends_with(last)) ? 0 : 1;
          for (const float v : p.value(static_cast<int>(i)).span<float>())
            CHECK(v == expected);
        }
        for (std::size_t i = 0; i < p.buffers().size(); ++i)
          for (const float v : p.buffer(static_cast<int>(i)).span<float>())
            CHECK(v == (p.buffers()[i].name.ends_with("var") ? 1 : 0));
      }
  }

  TEST_CASE("initial values depend on the seed alone") {
    const auto weights = [](std::uint64_t seed) {
      Encoder encoder({.depth = 18, .width = 4}, false);
      encoder.parameters.initialise(seed);
      const float* v = encoder.parameters.flat_values();
      return std::vector<float>(v, v + encoder.parameters.flat_elements());
    };
    CHECK(weights(1) == weights(1));
    CHECK(weights(1) != weights(2));
  }

  TEST_CASE("one encoder records the trained and the target network") {
    struct Net {
      Parameters p;
      ResNet encoder{p, "", {.depth = 18, .width = 4, .stem = Stem::kCifar}};
      Value x, y, target;
      std::optional<BoundExecutable> run;

      explicit Net(std::uint64_t seed) {
        p.with_target();
        p.allocate(true);
        p.initialise(seed);
        Graph g(p);
        x = g.input("x", {4, 16, 16, 3}, DType::kF32);
        y = encoder.forward(g, x, {.groups = 2});
        target = encoder.forward(g, x, {.target = true, .groups = 2});
        g.keep(y), g.keep(target);
        run.emplace(std::move(g), p);
      }
      std::vector<float> features(Value v) {
        return floats(run->executable.tensor(v));
      }
    };
    Net a(1), b(2);
    std::copy_n(b.p.flat_values(), b.p.flat_elements(), a.p.flat_target());
    const auto images = hashed_images("images", {4, 3, 16, 16});
    for (Net* net : {&a, &b}) {
      net->run->set_input(net->x, images.data());
      net->run->run();
    }
    // b, which nobody has moved, is its own target and that of a.
    CHECK(b.features(b.target) == b.features(b.y));
    CHECK(a.features(a.target) == b.features(b.y));
    CHECK(a.features(a.target) != a.features(a.y));
    // One update of the running statistics, of the trained network's batches.
    Parameters alone;
    const ResNet encoder(alone, "", a.encoder.spec());
    alone.allocate(true);
    alone.initialise(1);
    Graph g(alone);
    const Value x = g.input("x", {4, 16, 16, 3}, DType::kF32);
    encoder.forward(g, x, {.groups = 2});
    BoundExecutable run(std::move(g), alone);
    run.set_input(x, images.data());
    run.run();
    for (int i = 0; i < static_cast<int>(alone.buffers().size()); ++i)
      CHECK(floats(alone.buffer(i)) == floats(a.p.buffer(i)));
  }

  TEST_CASE("output sizes: both stems, odd images") {
    for (const auto stem : {Stem::kImageNet, Stem::kCifar}) {
      Encoder encoder({.depth = 18, .width = 4, .stem = stem}, false);
      for (const std::int64_t size : {33, 64}) {
        Graph g(encoder.parameters);
        const Value x = g.input("x", {3, size, size, 3}, DType::kF32);
        CHECK(g.shape(encoder.net.forward(g, x, {})) == Shape{3, 32});
      }
    }
  }

  TEST_CASE("a depth or width that does not exist is a usage error") {
    Parameters p;
    CHECK_THROWS_WITH_AS(ResNet(p, "", {.depth = 20}),
                         "[resnet] depth 20, expected 18, 34, 50 or 101",
                         Error);
    CHECK_THROWS_WITH_AS(ResNet(p, "", {.depth = 18, .width = 0}),
                         "[resnet] width 0, expected 1 to 1024", Error);
  }
}

}  // namespace
