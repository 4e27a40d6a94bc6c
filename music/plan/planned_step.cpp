#include "music/plan/planned_step.h"

#include "dist/planned.h"
#include "engine/core/shard.h"

namespace music {

PlannedStep::PlannedStep(const ModelSpec& model, const TrainingStepSpec& step,
                         std::int64_t samples, const Compute& compute,
                         const Layout& layout, int rank)
    : here_(shard_size(samples, rank, layout.ranks())),
      place_(dist::make_planned_communicator(rank, layout.ranks())),
      network_(model, ParameterStorage{.training = true,
                                       .device = compute.device,
                                       .compute = compute.dtype}),
      step_(network_.step_graph(samples, step, place_.get())),
      reducer_(*place_, network_.parameters()) {
  model_.graph = &step_.graph;
  model_.reducer = &reducer_;
  model_.layout = layout;
}

void PlannedStep::price(const Processor& p) {
  model_.node_seconds = node_seconds(step_.graph, p);
  const Parameters& all = network_.parameters();
  const double bytes = kOptimizerBytes + (all.has_target() ? kTargetBytes : 0);
  model_.optimizer_seconds =
      seconds(p, {0, bytes * static_cast<double>(all.flat_elements())});
}

void PlannedStep::price(const Profile& profile) {
  model_.node_seconds = node_seconds(step_.graph, profile, here_);
  model_.optimizer_seconds = profile.optimizer_ms * 1e-3;
}

}  // namespace music
