#include "music/train/goes_on.h"

#include <algorithm>
#include <cstdlib>

#include "engine/core/counted.h"
#include "engine/core/error.h"
#include "music/files/same_run.h"

namespace music {

GoesOn goes_on(const Checkpoint& checkpoint, const Config& config, bool extend,
               const std::string& data, const std::string& weights) {
  const CheckpointState& s = checkpoint.state;
  const std::string where = checkpoint.directory.string();
  const auto extra = [&](const char* key) {
    const auto it = s.extra.find(key);
    return it == s.extra.end() ? std::string() : it->second;
  };
  GoesOn run{.run_id = s.run_id, .extended = extra("extended")};
  if (s.config_hash != config_hash(config)) {
    if (extra("settings").empty())
      throw error(ExitCode::kUsage,
                  "[run] {} was written under another configuration (which "
                  "settings it had was not kept); expected the same, or a new "
                  "--out", where);
    run.epochs_before =
        require_same_run(extra("settings"), config, extend, config.train.out,
                         where + " was written under");
  }
  if (run.epochs_before)
    run.extended += fmt::format("{}{}@{}", run.extended.empty() ? "" : " ",
                                *run.epochs_before, s.step);
  if (const std::string was = extra("data"); !was.empty() && was != data)
    throw error(ExitCode::kUsage,
                "[run] {} is not the data this run was started on ({}, was {}): "
                "use another train.out", config.data.path, data, was);
  run.weights = s.extra.contains("weights") ? extra("weights") : weights;
  const std::string& named = config.model.weights;
  if (named.empty() ? !run.weights.empty()
                    : !weights.empty() && weights != run.weights)
    throw error(ExitCode::kUsage,
                "[run] {} was started from {}, found {}: expected the same "
                "model.weights, or a new --out", where,
                run.weights.empty() ? "drawn weights" : "weights " + run.weights,
                named.empty() ? "none named" : named + ", " + weights);
  run.seconds = std::atof(extra("seconds").c_str());
  return run;
}

std::string describe_extension(const GoesOn& run, const Trainer& trainer) {
  const std::int64_t step = trainer.steps_done();
  const Schedule& now = trainer.schedule();
  const std::int64_t epochs = now.total_steps / trainer.steps_per_epoch();
  const Schedule before = trainer.schedule_of(*run.epochs_before);
  return fmt::format(
      "extended from {} to {} at step {}: learning rate {:.4g} at the step "
      "before, {:.4g} at the next, by the schedule of {}{}",
      counted(*run.epochs_before, "epoch"), epochs, step,
      trainer.rate_at(before, std::max<std::int64_t>(step, 1) - 1),
      trainer.rate_at(now, step), counted(epochs, "epoch"),
      step < now.warmup_steps ? ", whose warm-up goes on" : "; no second warm-up");
}

}  // namespace music
