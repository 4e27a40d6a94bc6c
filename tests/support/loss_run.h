#pragma once
// The kernel of the MUSIC loss alone on a GPU, between guards.

#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "music/loss/joint_entropy.h"
#include "tests/support/graph_run.h"

namespace music::test {

struct LossResult {
  JointEntropyTerms terms;
  float total = 0;
  std::vector<float> dz, mean_q;  // [2N,D], [2,D]
};

// z [2N,units]: logits of view 1, then of view 2.
inline LossResult run_loss_kernel(
    const std::vector<float>& z, std::int64_t units,
    std::function<std::unique_ptr<Kernel>(const KernelRequest&)> make) {
  Parameters parameters;
  parameters.set_storage({.device = Device::kCuda});
  parameters.allocate();
  Graph g(parameters);
  const Shape shape{static_cast<std::int64_t>(z.size()) / units, units};
  const Value in = g.input("z", shape, DType::kF32);
  Node node;
  node.op = "joint_entropy";
  node.inputs = {in};
  node.make = std::move(make);
  const OutputSpec outs[] = {
      {Shape{1}}, {shape}, {Shape{4}, DType::kF64}, {Shape{2, units}}};
  const std::vector<Value> out = g.add(std::move(node), outs);
  const GuardedRun done(std::move(g), parameters, {{in.id, z.data()}});
  CHECK(done.problem() == "");
  const auto read = [&](Value v) {
    return floats(done.tensor(v), Device::kCuda);
  };
  std::array<double, 4> t;
  download(t.data(), done.tensor(out[2]).data, sizeof t, Device::kCuda);
  return {{t[0], t[1], t[2], t[3]}, read(out[0])[0], read(out[1]),
          read(out[3])};
}

}  // namespace music::test
