#pragma once
// A composed objective on given matrices: its value, its gradients, and what
// else is asked for.

#include <doctest/doctest.h>

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/graph/autograd.h"
#include "tests/support/graph_run.h"
#include "tests/support/reference_array.h"

namespace music::test {

struct Matrix {
  enum class Role { kTrained, kConstant, kBuffer };
  reference::Array value;
  Role role = Role::kTrained;
};

struct Evaluated {
  double loss = 0;
  std::vector<std::vector<float>> gradients;  // per matrix; empty: none
  std::vector<std::vector<float>> kept;
};

// What an objective records: its loss, and values to be read.
struct Recorded {
  Value loss;
  std::vector<Value> kept;
};
// Appends the objective; what comes behind backward() goes to the function it
// may leave in `finish`.
using Record = std::function<Recorded(Graph&, std::span<const Value> matrices,
                                      std::function<void()>& finish)>;

// Where and how it runs: `times` steps on one state, of which the last is
// given. On a device all but the first come from a captured graph, as a training
// step's do.
struct EvaluateOn {
  int times = 1;
  Device device = Device::kCpu;
};

inline Evaluated evaluate(const std::vector<Matrix>& matrices,
                          const Record& record, const EvaluateOn& on = {}) {
  const Device device = on.device;
  Parameters p;
  std::vector<int> slots;
  for (const Matrix& m : matrices) {
    const std::string name = fmt::format("matrix{}", slots.size());
    const Shape shape(m.value.shape);
    slots.push_back(m.role == Matrix::Role::kBuffer
                        ? p.add_buffer(name, shape, 0)
                        : p.add(name, shape, {}));
    if (m.role == Matrix::Role::kConstant) p.freeze(slots.back());
  }
  p.set_storage({.training = true, .device = device});
  p.allocate();
  p.initialise(0);
  Graph graph(p);
  std::vector<Value> values;
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    const bool buffer = matrices[i].role == Matrix::Role::kBuffer;
    const Tensor t = buffer ? p.buffer(slots[i]) : p.value(slots[i]);
    const std::vector<float> data(matrices[i].value.data.begin(),
                                  matrices[i].value.data.end());
    upload(t.data, data.data(), t.bytes(), device);
    values.push_back(buffer ? graph.buffer(slots[i])
                            : graph.parameter(slots[i]));
  }
  std::function<void()> finish;
  const Recorded recorded = record(graph, values, finish);
  graph.keep(recorded.loss);
  for (Value v : recorded.kept) graph.keep(v);
  backward(graph, recorded.loss, graph.constant({1}, 1));
  if (finish) finish();
  BoundExecutable run(std::move(graph), p);
  for (int i = 0; i < on.times; ++i) {
    if (device == Device::kCpu || i > 0) {
      run.run();
      continue;
    }
    const cuda::Stream stream;
    run->run(stream.get());
    cuda::synchronize(stream.get());
  }
  Evaluated e;
  e.loss = static_cast<double>(floats(run->tensor(recorded.loss), device)[0]);
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    e.gradients.emplace_back();
    if (matrices[i].role == Matrix::Role::kTrained)
      e.gradients.back() = floats(p.gradient(slots[i]), device);
  }
  for (Value v : recorded.kept)
    e.kept.push_back(floats(run->tensor(v), device));
  return e;
}

}  // namespace music::test
