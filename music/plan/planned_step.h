#pragma once
// A step of processes that need not exist, ready to be predicted.

#include <memory>

#include "music/config/compute.h"
#include "music/model/model.h"
#include "music/model/step_spec.h"
#include "music/plan/node_cost.h"
#include "music/plan/step_model.h"

namespace music {

// What the optimiser moves, bytes a parameter: reads of weights, gradients
// (twice, for norms and update) and momentum, writes of weights, momentum and
// the rounded copy.
constexpr double kOptimizerBytes = 26;
// And of a target: read and written, and its rounded copy.
constexpr double kTargetBytes = 10;

class PlannedStep {
 public:
  // samples: of all processes. rank: the one it is seen from.
  PlannedStep(const ModelSpec& model, const TrainingStepSpec& step,
              std::int64_t samples, const Compute& compute,
              const Layout& layout, int rank = 0);
  PlannedStep(const PlannedStep&) = delete;

  // Times of operations and optimiser.
  void price(const Processor& processor);
  void price(const Profile& profile);

  // The caller sets net and input_seconds.
  StepModel& model() { return model_; }
  const Parameters& parameters() const { return network_.parameters(); }
  const Graph& graph() const { return step_.graph; }
  std::int64_t samples_here() const { return here_; }

 private:
  std::int64_t here_;
  std::unique_ptr<dist::Communicator> place_;
  Model network_;
  StepGraph step_;
  dist::GradientReducer reducer_;
  StepModel model_;
};

}  // namespace music
