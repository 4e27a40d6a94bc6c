#pragma once
// Training steps of a method by one process and by several, on any device.

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "engine/core/rng.h"
#include "tests/dist/world.h"
#include "tests/support/compare.h"
#include "tests/support/graph_run.h"
#include "tests/support/method_cases.h"

namespace music::test {

// A case with batches of which the processes have several samples each.
struct MethodProblem {
  MethodCase c;
  std::int64_t batch, last;  // samples; the same where none may be short
  std::int64_t micro = 0;    // of a part that passes the network at once
};

// MoCo's groups and their number are multiples of the number of processes.
// Every second method has batches that do not divide.
inline std::vector<MethodProblem> method_problems() {
  std::vector<MethodProblem> all;
  for (MethodCase c : method_cases()) {
    const std::int64_t size = world().size();
    std::int64_t batch = c.spec.method.name == "swav" ? 26 : 23, last = 10;
    if (c.spec.method.name == MocoV2::kName) {
      auto& moco = c.spec.method.of<MocoV2>();
      batch = moco.group == 0 || size == 5 ? 25 : size == 4 ? 32 : 36;
      if (moco.group > 0) moco.group = size == 5 ? 5 : size == 4 ? 8 : 6;
      moco.queue = 4 * batch;
    }
    if (c.name == "swav/queue")
      batch = 24, c.spec.method.of<Swav>().queue = 2 * batch;
    if (needs_of(c.spec.method).full_batches) last = batch;
    c.spec.samples = batch;
    all.push_back({c, batch, last});
  }
  return all;
}

class MethodRun {
 public:
  // communicator: null for a process on its own.
  MethodRun(const MethodProblem& problem, dist::Communicator* communicator,
            ParameterStorage storage = {.training = true})
      : problem_(problem),
        views_(needs_of(problem.c.spec.method).views),
        labels_(needs_of(problem.c.spec.method).labels),
        shared_(communicator != nullptr),
        model(problem.c.spec, storage) {
    model.allocate();
    hash_method(model.parameters());
    TrainingStepSpec how = method_step(problem.c);
    how.micro_batch = problem.micro;
    step = std::make_unique<TrainingStep>(
        model, how,
        std::vector<std::int64_t>{problem.batch, problem.last},
        ExecutableOptions{}, communicator);
    if (storage.compute == DType::kF16)
      step->set_update_state({.loss_scale = 1024});
  }
  StepOutcome forward_backward() {
    return step->forward_backward(mine(0, problem_.batch).data(),
                                  problem_.batch, labels(0, problem_.batch));
  }
  // Step k; the fourth, and no other, is short.
  double run(std::int64_t k) {
    const std::int64_t n = k == 3 ? problem_.last : problem_.batch;
    const Position at = method_position(problem_.c, k);
    const auto x = mine(k, n);
    step->stage(x.data(), n, labels(k, n));
    step->submit(model.method().knobs(at, method_rate(problem_.c, k)),
                 model.method().phase(at));
    return step->finish().total;
  }

 private:
  MethodProblem problem_;
  int views_;
  bool labels_, shared_;
  std::vector<int> label_values_;

 public:
  Model model;
  std::unique_ptr<TrainingStep> step;

 private:
  bool is_mine(std::int64_t sample) const {
    return !shared_ || sample % world().size() == world().rank();
  }
  // Samples differ in colour and contrast, so that a shard's statistics are not
  // those of the batch.
  std::vector<std::uint8_t> mine(std::int64_t k, std::int64_t samples) const {
    Rng rng(1, RngPurpose::kTest, static_cast<std::uint32_t>(k));
    std::vector<std::uint8_t> x;
    for (int view = 0; view < views_; ++view)
      for (std::int64_t i = 0; i < samples; ++i) {
        const std::uint32_t low = rng.below(120), range = 8 + rng.below(128);
        for (int j = 0; j < kSize * kSize * 3; ++j) {
          const auto v = static_cast<std::uint8_t>(low + rng.below(range));
          if (is_mine(i)) x.push_back(v);
        }
      }
    return x;
  }
  const int* labels(std::int64_t k, std::int64_t samples) {
    if (!labels_) return nullptr;
    label_values_.clear();
    for (std::int64_t i = 0; i < samples; ++i)
      if (is_mine(i))
        label_values_.push_back(static_cast<int>((i * i + k) % kMethodClasses));
    return label_values_.data();
  }
};

struct WorstTensor {
  double error = 0;
  std::string name;
};

using TensorOf = Tensor (Parameters::*)(int) const;

// Whether a batch norm follows the linear layer of this bias, and takes it away:
// its gradient is rounding.
inline bool without_effect(const Parameters& p, const std::string& bias) {
  if (!bias.ends_with(".bias")) return false;
  const std::string layer = bias.substr(0, bias.size() - 5);
  const auto dot = layer.rfind('.');
  const std::string number = layer.substr(dot + 1);
  if (number.size() != 1 || number[0] < '0' || number[0] > '8') return false;
  const std::string norm = layer.substr(0, dot + 1) +
                           static_cast<char>(number[0] + 1) + ".running_mean";
  for (const ParameterInfo& b : p.buffers())
    if (b.name == norm) return true;
  return false;
}

// The largest relative error of a tensor, by norm.
inline WorstTensor worst_tensor(Parameters& a, Parameters& b, TensorOf of,
                                bool buffers = false) {
  HostParameters x(a, true), y(b, true);
  const auto table = buffers ? x->buffers() : x->table();
  WorstTensor w;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const std::string& name = table[i].name;
    const double floor = without_effect(*x, name) ? 1 : 1e-6;
    const double error =
        norm_relative(floats(((*x).*of)(static_cast<int>(i))),
                      floats(((*y).*of)(static_cast<int>(i))), floor);
    if (!(error <= w.error)) w = {error, name};
  }
  return w;
}

// Every bit that a run goes on from.
inline std::vector<float> whole_state(Model& model) {
  HostParameters p(model.parameters());
  const auto n = p->flat_elements();
  std::vector<float> all(p->flat_values(), p->flat_values() + n);
  all.insert(all.end(), p->flat_momentum(), p->flat_momentum() + n);
  if (p->has_target())
    all.insert(all.end(), p->flat_target(), p->flat_target() + n);
  for (std::size_t i = 0; i < p->buffers().size(); ++i)
    for (const float v : floats(p->buffer(static_cast<int>(i))))
      all.push_back(v);
  return all;
}

}  // namespace music::test
