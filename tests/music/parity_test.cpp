// Whole MUSIC training steps against PyTorch, and the two views stacked
// against two passes.
#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "engine/graph/autograd.h"
#include "engine/ops/scale.h"
#include "engine/optim/optimizer.h"
#include "layers/projector.h"
#include "layers/resnet.h"
#include "music/cpu/joint_entropy.h"
#include "music/joint_entropy.h"
#include "tests/support/golden.h"
#include "tests/support/graph_run.h"
#include "tests/support/network.h"

namespace {

using namespace music;
using namespace music::test;

// The network of music_step.safetensors, under PyTorch's names.
struct Net {
  Parameters parameters;
  ResNet encoder;
  Projector projector;
  Segments segments = Segments::equal(48, 8);

  Net()
      : encoder(parameters, "",
                {.depth = 18, .width = 8, .stem = Stem::kCifar}),
        projector(parameters, "projector", 64, {64, 48}) {
    parameters.allocate(true);
    hash_parameters(parameters);
  }
  Value forward(Graph& g, Value x, int groups) const {
    const ForwardMode mode{.training = true, .groups = groups};
    return projector.forward(g, encoder.forward(g, x, mode), mode);
  }
};

struct StackedStep {
  Value images, terms;
  std::unique_ptr<BoundExecutable> run;

  StackedStep(Net& net, Shape view, ExecutableOptions options = {}) {
    Graph g(net.parameters);
    images = g.input("images", {2 * view[0], view[1], view[2], view[3]},
                     DType::kF32);
    const auto loss =
        joint_entropy(g, net.forward(g, images, 2), net.segments, {});
    terms = loss.terms;
    backward(g, loss.total, g.constant({1}, 1));
    run = std::make_unique<BoundExecutable>(std::move(g), net.parameters,
                                            options);
  }
  std::vector<double> step(const std::vector<float>& x) {
    run->executable.set_input(images, x.data());
    run->executable.run();
    const auto t = run->executable.tensor(terms).span<double>();
    return {t.begin(), t.end()};
  }
};

// Both views of a step of the golden, one after the other, NHWC.
std::vector<float> views(const Golden& golden, int step) {
  const Dims s = golden.integers("images_shape");
  std::vector<float> x;
  for (const int view : {1, 2}) {
    const auto v = hashed_images(
        fmt::format("seed{}/step{}/view{}", golden.integers("seed")[0], step,
                    view),
        s);
    x.insert(x.end(), v.begin(), v.end());
  }
  return x;
}

Shape view_shape(const Golden& golden) {
  const Dims s = golden.integers("images_shape");
  return {s[0], s[2], s[3], s[1]};
}

// The batch norm behind it takes this bias away: its gradient is 0, and what
// is left is rounding.
double gradient_floor(const std::string& name) {
  return name == "projector.0.bias" ? Golden::kGradientFloor : 0;
}

TEST_SUITE("parity") {
  TEST_CASE("five steps with LARS and with SGD follow PyTorch") {
    const Golden golden("music_step");
    for (const std::string kind : {"lars", "sgd"}) {
      CAPTURE(kind);
      Net net;
      Parameters& p = net.parameters;
      StackedStep graph(net, view_shape(golden));
      OptimizerSpec spec;  // as step_golden() of make_goldens.py
      if (kind == "sgd") {
        spec.kind = OptimizerKind::kSgd;
        spec.weight_decay = 5e-4, spec.decay_1d = true;
      }
      const auto optimizer = make_optimizer(p, spec);
      std::vector<std::vector<double>> start;
      for (std::size_t i = 0; i < p.table().size(); ++i) {
        const auto v = in_torch_layout(p.value(static_cast<int>(i)));
        start.emplace_back(v.begin(), v.end());
      }
      const auto rates = golden.get(kind + "/rates");
      const auto terms = golden.get(kind + "/terms");
      REQUIRE(rates.size() == 5);
      for (std::size_t step = 0; step < rates.size(); ++step) {
        CAPTURE(step);
        const auto actual =
            graph.step(views(golden, static_cast<int>(step)));
        const std::vector<double> expected(
            terms.begin() + static_cast<std::ptrdiff_t>(4 * step),
            terms.begin() + static_cast<std::ptrdiff_t>(4 * step + 4));
        CHECK(max_relative(actual, expected, 1e-3) <= 1e-4);
        if (step == 0)
          for (std::size_t i = 0; i < p.table().size(); ++i) {
            const std::string& tensor = p.table()[i].name;
            CAPTURE(tensor);
            CHECK(golden.gradient_error(
                      tensor, in_torch_layout(p.gradient(static_cast<int>(i))),
                      gradient_floor(tensor)) <= 1e-4);
          }
        optimizer->step(rates[step]);
      }
      double worst = 0;
      std::string worst_name;
      for (std::size_t i = 0; i < p.table().size(); ++i) {
        const std::string& tensor = p.table()[i].name;
        CAPTURE(tensor);
        const auto value = in_torch_layout(p.value(static_cast<int>(i)));
        // Both the value and the part of it that the five steps made.
        auto expected = golden.get(kind + "/change/" + tensor);
        std::vector<double> change(value.begin(), value.end());
        for (std::size_t j = 0; j < change.size(); ++j)
          change[j] -= start[i][j];
        const double error =
            norm_relative(change, expected, gradient_floor(tensor));
        if (!(error <= worst)) worst = error, worst_name = tensor;
        for (std::size_t j = 0; j < expected.size(); ++j)
          expected[j] += start[i][j];
        CHECK(norm_relative(value, expected) <= 1e-4);
        CHECK(error <= 1e-4);
      }
      MESSAGE(kind << ": worst error of a tensor's change after five steps "
                   << worst << " at " << worst_name);
      for (std::size_t i = 0; i < p.buffers().size(); ++i) {
        const std::string& tensor = p.buffers()[i].name;
        CAPTURE(tensor);
        CHECK(golden.error_of(kind + "/running/", tensor,
                              floats(p.buffer(static_cast<int>(i)))) <= 1e-4);
      }
    }
  }

  // The method runs one pass per view; the engine stacks them and gives
  // batch_norm two groups.
  TEST_CASE("two passes of one view and one stacked pass agree") {
    const Golden golden("music_step");
    const Shape view = view_shape(golden);
    const auto x = views(golden, 0);
    Net stacked;
    const auto stacked_terms = StackedStep(stacked, view).step(x);

    Net separate;
    Parameters& p = separate.parameters;
    const std::int64_t n = view[0], units = separate.segments.units();
    const auto pass = [&](int index, const std::vector<float>& dz, bool keep) {
      Graph g(p);
      const Value images = g.input("images", view, DType::kF32);
      const Value z = separate.forward(g, images, 1);
      const Value dy = g.input("dz", {n, units}, DType::kF32);
      g.keep(z);
      backward(g, inject_gradient(g, z, dy), g.constant({1}, 1));
      BoundExecutable run(std::move(g), p);
      run->set_input(images, x.data() + index * view.elements());
      run->set_input(dy, dz.data());
      std::vector<std::vector<float>> buffers;
      for (std::size_t i = 0; i < p.buffers().size(); ++i)
        buffers.push_back(floats(p.buffer(static_cast<int>(i))));
      run->run();
      for (std::size_t i = 0; i < buffers.size() && !keep; ++i)
        std::copy(buffers[i].begin(), buffers[i].end(),
                  p.buffer(static_cast<int>(i)).f32());
      return floats(run->tensor(z));
    };
    const std::vector<float> none(static_cast<std::size_t>(n * units), 0.0f);
    std::vector<float> z[2], dz[2] = {none, none};
    for (const int i : {0, 1}) z[i] = pass(i, none, true);
    const cpu::JointEntropy loss({n, &separate.segments, {}});
    Buffer workspace(loss.workspace_bytes());
    std::vector<float> mean_q(static_cast<std::size_t>(2 * units));
    JointEntropyTerms terms;
    loss.run(z[0].data(), z[1].data(), dz[0].data(), dz[1].data(),
             mean_q.data(), terms, workspace.data());
    CHECK(terms.total == doctest::Approx(stacked_terms[3]).epsilon(1e-6));

    std::vector<double> sum(static_cast<std::size_t>(p.flat_elements()));
    for (const int i : {0, 1}) {
      pass(i, dz[i], false);
      for (std::size_t j = 0; j < sum.size(); ++j)
        sum[j] += p.flat_gradients()[j];
    }
    for (std::size_t i = 0; i < p.table().size(); ++i) {
      CAPTURE(p.table()[i].name);
      const auto from = sum.begin() + p.table()[i].offset;
      const std::vector<double> expected(
          from, from + p.table()[i].shape.elements());
      CHECK(norm_relative(
                floats(stacked.parameters.gradient(static_cast<int>(i))),
                expected, gradient_floor(p.table()[i].name)) <= 1e-5);
    }
    for (std::size_t i = 0; i < p.buffers().size(); ++i) {
      CAPTURE(p.buffers()[i].name);
      const int b = static_cast<int>(i);
      CHECK(norm_relative(floats(stacked.parameters.buffer(b)),
                          floats(p.buffer(b))) <= 1e-6);
    }
  }

  TEST_CASE("the planner's re-use changes no bit of five steps") {
    const Golden golden("music_step");
    const auto trained = [&](bool reuse) {
      Net net;
      StackedStep graph(net, view_shape(golden), {.reuse_memory = reuse});
      const auto optimizer = make_optimizer(net.parameters, {});
      for (int step = 0; step < 5; ++step) {
        graph.step(views(golden, step));
        optimizer->step(0.5);
      }
      const float* v = net.parameters.flat_values();
      return std::vector<float>(v, v + net.parameters.flat_elements());
    };
    const auto on = trained(true), off = trained(false);
    CHECK(std::memcmp(on.data(), off.data(), on.size() * sizeof(float)) == 0);
  }
}

}  // namespace
