#pragma once
// Whole MUSIC training steps against PyTorch (music_step.safetensors): every
// tensor in fp32; in 16 bits what is stable there, held to what PyTorch's own
// 16-bit steps leave.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/optim/optimizer.h"
#include "tests/support/margin.h"
#include "tests/support/step_golden.h"

namespace music::test {

// Relative errors of tensors, of each and of all as one vector.
class TensorErrors {
 public:
  template <typename A>
  void add(const std::string& name, const A& value,
           const std::vector<double>& truth, double floor = 0) {
    double error = norm_relative(value, truth, floor);
    if (std::isnan(error)) error = std::numeric_limits<double>::infinity();
    each_.emplace_back(error, name);
    all_.insert(all_.end(), value.begin(), value.end());
    truth_.insert(truth_.end(), truth.begin(), truth.end());
  }
  double whole() const { return norm_relative(all_, truth_); }
  // The error that this share of the tensors does not exceed, and whose it is.
  std::pair<double, std::string> quantile(double share) const {
    auto sorted = each_;
    std::sort(sorted.begin(), sorted.end());
    return sorted.at(static_cast<std::size_t>(
        share * static_cast<double>(sorted.size() - 1)));
  }

 private:
  std::vector<std::pair<double, std::string>> each_;
  std::vector<double> all_, truth_;
};

// Runs steps of the golden with "lars" or "sgd". scale: of the loss.
class GoldenRun {
 public:
  TensorErrors gradients;  // of the first step
  // After five steps: weights, the part of them that the steps made, running
  // statistics.
  TensorErrors weights, changes, statistics;
  std::vector<double> terms;  // relative errors

  GoldenRun(const std::string& kind, const CaseTarget& target, double scale,
            int steps)
      : kind_(kind),
        target_(target),
        scale_(scale),
        net_(target),
        graph_(net_, view_shape(golden_), {}, scale),
        optimizer_(make_optimizer(net_.parameters, spec(kind))),
        state_(sizeof(UpdateState), memory_of(target.device)) {
    const auto rates = golden_.get(kind + "/rates");
    const auto expected = golden_.get(kind + "/terms");
    REQUIRE(rates.size() == 5);
    const std::vector<std::vector<double>> start = values();
    for (int step = 0; step < steps; ++step) {
      for (const double term : graph_.step(views(golden_, step)))
        terms.push_back(relative_error(term, expected.at(terms.size())));
      if (step == 0) compare_gradients();
      update(rates[static_cast<std::size_t>(step)]);
    }
    if (steps == 5) compare_end(start);
  }

 private:
  static OptimizerSpec spec(const std::string& kind) {  // as make_goldens.py
    OptimizerSpec spec;
    if (kind == "sgd") {
      spec.kind = OptimizerKind::kSgd;
      spec.weight_decay = 5e-4, spec.decay_1d = true;
    }
    return spec;
  }
  std::vector<double> in_layout(const Tensor& tensor) const {
    std::vector<float> copy = floats(tensor, target_.device);
    const auto v = in_torch_layout({copy.data(), tensor.shape, tensor.dtype});
    return {v.begin(), v.end()};
  }
  std::vector<std::vector<double>> values() const {
    std::vector<std::vector<double>> all;
    for (std::size_t i = 0; i < net_.parameters.table().size(); ++i)
      all.push_back(in_layout(net_.parameters.value(static_cast<int>(i))));
    return all;
  }
  void update(double rate) {
    UpdateState before{.loss_scale = static_cast<float>(scale_)};
    before.knobs.set_rate(static_cast<float>(rate));
    upload(state_.data(), &before, sizeof before, target_.device);
    optimizer_->step(state_.as<UpdateState>(),
                     graph_.run->executable.tensor(graph_.total).f32(),
                     nullptr);
    UpdateState after;
    download(&after, state_.data(), sizeof after, target_.device);
    CHECK(after.applied == 1);
  }
  void compare_gradients() {
    const Parameters& p = net_.parameters;
    for (std::size_t i = 0; i < p.table().size(); ++i) {
      const std::string& name = p.table()[i].name;
      auto gradient = in_layout(p.gradient(static_cast<int>(i)));
      for (double& g : gradient) g /= scale_;
      gradients.add(name, gradient, golden_.get("grad/" + name),
                    gradient_floor(name));
    }
  }
  void compare_end(const std::vector<std::vector<double>>& start) {
    const Parameters& p = net_.parameters;
    const auto end = values();
    for (std::size_t i = 0; i < end.size(); ++i) {
      const std::string& name = p.table()[i].name;
      auto expected = golden_.get(kind_ + "/change/" + name);
      std::vector<double> change = end[i];
      for (std::size_t j = 0; j < change.size(); ++j) change[j] -= start[i][j];
      changes.add(name, change, expected, gradient_floor(name));
      for (std::size_t j = 0; j < change.size(); ++j)
        expected[j] += start[i][j];
      weights.add(name, end[i], expected);
    }
    for (std::size_t i = 0; i < p.buffers().size(); ++i) {
      const std::string& name = p.buffers()[i].name;
      statistics.add(name,
                     floats(p.buffer(static_cast<int>(i)), target_.device),
                     golden_.get(kind_ + "/running/" + name));
    }
  }

  const Golden golden_{"music_step"};
  std::string kind_;
  CaseTarget target_;
  double scale_;
  Net net_;
  StackedStep graph_;
  std::unique_ptr<Optimizer> optimizer_;
  Buffer state_;
};

// fp32: every tensor. Fewer than five steps leave out what five make.
inline void check_golden_steps(const std::string& kind,
                               Device device = Device::kCpu, int steps = 5) {
  CAPTURE(kind);
  const GoldenRun run(kind, {device, DType::kF32}, 1, steps);
  for (const double error : run.terms) CHECK(within(error, 1e-4, kind));
  const auto check = [&](const std::string& what, const TensorErrors& errors) {
    const auto [error, tensor] = errors.quantile(1);
    CAPTURE(tensor);
    CHECK(within(error, 1e-4, kind + "/" + what));
  };
  check("gradient", run.gradients);
  if (steps < 5) return;
  check("weights", run.weights);
  check("change", run.changes);
  check("statistics", run.statistics);
}

// In 16 bits one tensor of five steps is a matter of luck. Stable are: the loss
// terms, all tensors as one vector, the median and the ninth decile of the
// tensors' errors. Each is held to twice PyTorch's worst of several seeds under
// autocast (step_spread.safetensors, tools/peers/step_spread.py).
inline void check_narrow_steps(const std::string& kind,
                               const CaseTarget& target, double scale,
                               int steps = 5) {
  const std::string prefix =
      kind + "/" + std::string(name_of(target.dtype)) + "/";
  const Golden spread("step_spread");
  const auto check = [&](const std::string& what, double error) {
    const std::string name = prefix + what;
    CAPTURE(name);
    const auto seeds = spread.get(name);
    const double worst = *std::max_element(seeds.begin(), seeds.end());
    CHECK(within(error, 2 * worst, name));
  };
  const auto check_tensors = [&](const std::string& what,
                                 const TensorErrors& errors) {
    check(what, errors.whole());
    check(what + "_median", errors.quantile(0.5).first);
    check(what + "_decile", errors.quantile(0.9).first);
  };
  const GoldenRun run(kind, target, scale, steps);
  check_tensors("gradient", run.gradients);
  if (steps < 5) return;
  check("terms", norm(run.terms) / std::sqrt(run.terms.size()));
  check_tensors("weights", run.weights);
  // All changes as one vector would say what all weights have said.
  check("change_median", run.changes.quantile(0.5).first);
  check("change_decile", run.changes.quantile(0.9).first);
  check_tensors("statistics", run.statistics);
}

}  // namespace music::test
