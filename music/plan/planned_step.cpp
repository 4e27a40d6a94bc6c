#include "music/plan/planned_step.h"

#include <algorithm>

#include "dist/planned.h"
#include "engine/core/shard.h"
#include "music/loss/column_slabs.h"
#include "music/loss/cpu/tile_slabs.h"

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
  const auto& settings = model.method.of<Music>();
  const Segments segments = make_segments(settings, model.projector.back());
  const std::int64_t units = segments.units();
  const int code = compute.dtype == DType::kF32 ? 4 : 2;
  model_.loss = {samples, segments, settings.entropy, rank, layout.ranks(),
                 cpu::panel_units(samples, units), code};
  if (compute.device == Device::kCuda) {
    model_.loss.panel = std::min(
        units, gpu_panel_units(samples, segments, layout.ranks(), code));
    model_.loss.sums = 5;
  }
}

void PlannedStep::price(const Processor& p) {
  model_.node_seconds =
      node_seconds(step_.graph, p, model_.loss.samples, model_.loss.ranks);
  const auto elements =
      static_cast<double>(network_.parameters().flat_elements());
  model_.optimizer_seconds = seconds(p, {0, kOptimizerBytes * elements});
}

void PlannedStep::price(const Profile& profile) {
  model_.node_seconds = node_seconds(step_.graph, profile, here_);
  model_.optimizer_seconds = profile.optimizer_ms * 1e-3;
}

}  // namespace music
