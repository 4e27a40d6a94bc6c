#pragma once
// The network and the step of music_step.safetensors, on any device and in any
// precision.

#include <memory>
#include <string>
#include <vector>

#include "engine/graph/autograd.h"
#include "engine/ops/cast.h"
#include "layers/projector.h"
#include "layers/resnet.h"
#include "music/loss/joint_entropy.h"
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

}  // namespace music::test
