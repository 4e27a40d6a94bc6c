#include "music/training_step.h"

#include <algorithm>
#include <cmath>

namespace music {

TrainingStep::TrainingStep(Model& model, const TrainingStepSpec& spec,
                           std::initializer_list<std::int64_t> batch_sizes,
                           ExecutableOptions options,
                           dist::Communicator* communicator)
    : model_(model) {
  if (communicator && communicator->size() > 1)
    reducer_.emplace(*communicator, model.parameters());
  std::size_t arena = 0, workspace = 0;
  for (const std::int64_t n : batch_sizes) {
    if (prepared_.contains(n)) continue;
    StepGraph step = model.step_graph(n, spec.image_size, spec.pixels,
                                      spec.segments, spec.loss, communicator);
    Prepared p{step.pixels, step.loss,
               std::make_unique<Executable>(std::move(step.graph),
                                            model.parameters(), options),
               {}};
    arena = std::max(arena, p.executable->arena_bytes());
    workspace = std::max(workspace, p.executable->workspace_bytes());
    prepared_.emplace(n, std::move(p));
  }
  arena_ = Buffer(arena);
  workspace_ = Buffer(workspace);
  for (auto& [n, p] : prepared_) {
    p.executable->bind(arena_.data(), workspace_.data());
    if (!reducer_) continue;
    p.schedule = reducer_->schedule(p.executable->graph());
    p.executable->set_observer([this, &p](std::size_t node) {
      reducer_->after_node(p.schedule, node, nullptr);
    });
  }
  optimizer_ = make_optimizer(model.parameters(), spec.optimizer);
}

StepOutcome TrainingStep::forward_backward(const void* pixels,
                                           std::int64_t samples) {
  const auto it = prepared_.find(samples);
  MUSIC_CHECK(it != prepared_.end(), "[step] batch of {} samples not prepared",
              samples);
  const Prepared& p = it->second;
  p.executable->set_input(p.pixels, pixels);
  p.executable->run();
  if (reducer_) reducer_->finish(nullptr);
  const double* t = p.executable->tensor(p.loss.terms).as<double>();
  StepOutcome outcome;
  outcome.terms.de = t[0], outcome.terms.oe = t[1];
  outcome.terms.ti = t[2], outcome.terms.total = t[3];
  outcome.mean_q = p.executable->tensor(p.loss.mean_q);
  return outcome;
}

StepOutcome TrainingStep::run(const void* pixels, std::int64_t samples,
                              double rate) {
  StepOutcome outcome = forward_backward(pixels, samples);
  outcome.applied = std::isfinite(outcome.terms.total) && gradients_finite();
  if (outcome.applied) optimizer_->step(rate);
  return outcome;
}

const Executable& TrainingStep::executable(std::int64_t n) const {
  return *prepared_.at(n).executable;
}

bool TrainingStep::gradients_finite() const {
  const float* g = model_.parameters().flat_gradients();
  const std::int64_t n = model_.parameters().flat_elements();
  // 0 * x is NaN exactly for x that is not finite; the sum keeps it.
  float poison = 0;
#pragma omp parallel for simd reduction(+ : poison) schedule(static)
  for (std::int64_t i = 0; i < n; ++i) poison += 0.0f * g[i];
  return poison == 0.0f;
}

}  // namespace music
