#pragma once
// Whole MUSIC training steps against PyTorch (music_step.safetensors), on any
// device and in any precision.

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/graph/autograd.h"
#include "engine/ops/cast.h"
#include "engine/optim/optimizer.h"
#include "layers/projector.h"
#include "layers/resnet.h"
#include "music/joint_entropy.h"
#include "tests/support/golden.h"
#include "tests/support/graph_run.h"
#include "tests/support/network.h"
#include "tests/support/op_case.h"

namespace music::test {

// The network of the golden, under PyTorch's names.
struct Net {
  Parameters parameters;
  ResNet encoder;
  Projector projector;
  Segments segments = Segments::equal(48, 8);

  explicit Net(const CaseTarget& target = {})
      : encoder(parameters, "",
                {.depth = 18, .width = 8, .stem = Stem::kCifar}),
        projector(parameters, "projector", 64, {64, 48}) {
    parameters.set_storage({.training = true,
                            .device = target.device,
                            .compute = target.dtype});
    parameters.allocate();
    parameters.initialise(0);
    HostParameters host(parameters);
    hash_parameters(*host);
    host.write_back();
  }
  Value forward(Graph& g, Value x, int groups) const {
    const ForwardMode mode{.training = true, .groups = groups};
    return projector.forward(g, encoder.forward(g, x, mode), mode);
  }
};

struct StackedStep {
  Value images, terms, total;
  std::unique_ptr<BoundExecutable> run;

  // scale: that the gradients are multiplied by.
  StackedStep(Net& net, Shape view, ExecutableOptions options = {},
              double scale = 1) {
    Graph g(net.parameters);
    const DType dtype = net.parameters.storage().compute;
    images = g.input("images", {2 * view[0], view[1], view[2], view[3]},
                     DType::kF32);
    const auto loss = joint_entropy(
        g, net.forward(g, cast(g, images, dtype), 2), net.segments, {}, {},
        dtype == DType::kF32 ? DType::kF32 : DType::kF16);
    terms = loss.terms, total = loss.total;
    g.keep(total);
    backward(g, loss.total, g.constant({1}, scale));
    run = std::make_unique<BoundExecutable>(std::move(g), net.parameters,
                                            options);
  }
  std::vector<double> step(const std::vector<float>& x) {
    run->set_input(images, x.data());
    run->executable.run();
    std::vector<double> t(4);
    download(t.data(), run->executable.tensor(terms).data, 32, run->device);
    return t;
  }
};

// Both views of a step of the golden, one after the other, NHWC.
inline std::vector<float> views(const Golden& golden, int step) {
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

inline Shape view_shape(const Golden& golden) {
  const Dims s = golden.integers("images_shape");
  return {s[0], s[2], s[3], s[1]};
}

// The batch norm behind it takes this bias away: its gradient is 0, and what
// is left is rounding.
inline double gradient_floor(const std::string& name) {
  return name == "projector.0.bias" ? Golden::kGradientFloor : 0;
}

struct StepTolerance {
  double terms = 1e-4;
  double tensors = 1e-4;  // each gradient, weight, change, running statistic
  double weights = 1e-4;  // all weights as one vector
  int steps = 5;  // of the golden's five; fewer compare the terms alone
  double scale = 1;  // of the loss
};

// Runs the golden's steps with "lars" or "sgd" and compares loss terms,
// gradients of the first step, weights and running statistics.
inline void check_golden_steps(const std::string& kind,
                               const CaseTarget& target = {},
                               const StepTolerance& t = {}) {
  const Golden golden("music_step");
  CAPTURE(kind);
  CAPTURE(std::string(name_of(target.dtype)));
  Net net(target);
  Parameters& p = net.parameters;
  StackedStep graph(net, view_shape(golden), {}, t.scale);
  OptimizerSpec spec;  // as step_golden() of make_goldens.py
  if (kind == "sgd") {
    spec.kind = OptimizerKind::kSgd;
    spec.weight_decay = 5e-4, spec.decay_1d = true;
  }
  const auto optimizer = make_optimizer(p, spec);
  Buffer state(sizeof(UpdateState), memory_of(target.device));
  const auto in_layout = [&](const Tensor& tensor) {
    std::vector<float> copy = floats(tensor, target.device);
    return in_torch_layout({copy.data(), tensor.shape, tensor.dtype});
  };
  std::vector<std::vector<double>> start;
  for (std::size_t i = 0; i < p.table().size(); ++i) {
    const auto v = in_layout(p.value(static_cast<int>(i)));
    start.emplace_back(v.begin(), v.end());
  }
  const auto rates = golden.get(kind + "/rates");
  const auto terms = golden.get(kind + "/terms");
  REQUIRE(rates.size() == 5);
  double worst_term = 0;
  for (std::size_t step = 0; step < static_cast<std::size_t>(t.steps); ++step) {
    CAPTURE(step);
    const auto actual = graph.step(views(golden, static_cast<int>(step)));
    const std::vector<double> expected(
        terms.begin() + static_cast<std::ptrdiff_t>(4 * step),
        terms.begin() + static_cast<std::ptrdiff_t>(4 * step + 4));
    const double error = max_relative(actual, expected, 1e-3);
    CHECK(error <= t.terms);
    if (!(error <= worst_term)) worst_term = error;
    if (step == 0)
      for (std::size_t i = 0; i < p.table().size(); ++i) {
        const std::string& tensor = p.table()[i].name;
        CAPTURE(tensor);
        auto gradient = in_layout(p.gradient(static_cast<int>(i)));
        for (float& g : gradient) g /= static_cast<float>(t.scale);
        CHECK(golden.gradient_error(tensor, gradient, gradient_floor(tensor)) <=
              t.tensors);
      }
    const UpdateState before{.rate = static_cast<float>(rates[step]),
                             .loss_scale = static_cast<float>(t.scale)};
    upload(state.data(), &before, sizeof before, target.device);
    optimizer->step(state.as<UpdateState>(),
                    graph.run->executable.tensor(graph.total).f32(), nullptr);
    UpdateState after;
    download(&after, state.data(), sizeof after, target.device);
    CHECK(after.applied == 1);
  }
  MESSAGE(kind << " " << name_of(target.dtype) << ": worst error of a loss term "
               << worst_term);
  if (t.steps < 5) return;
  double worst = 0;
  std::string worst_name;
  std::vector<double> all, all_expected;
  for (std::size_t i = 0; i < p.table().size(); ++i) {
    const std::string& tensor = p.table()[i].name;
    CAPTURE(tensor);
    const auto value = in_layout(p.value(static_cast<int>(i)));
    // Both the value and the part of it that the five steps made.
    auto expected = golden.get(kind + "/change/" + tensor);
    std::vector<double> change(value.begin(), value.end());
    for (std::size_t j = 0; j < change.size(); ++j) change[j] -= start[i][j];
    const double error =
        norm_relative(change, expected, gradient_floor(tensor));
    if (!(error <= worst)) worst = error, worst_name = tensor;
    for (std::size_t j = 0; j < expected.size(); ++j)
      expected[j] += start[i][j];
    CHECK(norm_relative(value, expected) <= t.tensors);
    all.insert(all.end(), value.begin(), value.end());
    all_expected.insert(all_expected.end(), expected.begin(), expected.end());
    CHECK(error <= t.tensors);
  }
  CHECK(norm_relative(all, all_expected) <= t.weights);
  MESSAGE(kind << " " << name_of(target.dtype) << ": error of all weights "
               << norm_relative(all, all_expected) << ", worst of a tensor's "
               << "change after five steps " << worst << " at " << worst_name);
  for (std::size_t i = 0; i < p.buffers().size(); ++i) {
    const std::string& tensor = p.buffers()[i].name;
    CAPTURE(tensor);
    CHECK(golden.error_of(
              kind + "/running/", tensor,
              floats(p.buffer(static_cast<int>(i)), target.device)) <=
          t.tensors);
  }
}

}  // namespace music::test
