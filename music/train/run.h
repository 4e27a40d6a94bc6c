#pragma once
// A pre-training run from configuration to weights: run directory, resume,
// metrics, checkpoints, signals, health, exports.

#include <functional>
#include <string>
#include <vector>

#include "dist/communicator.h"
#include "music/config/config.h"
#include "music/train/trainer.h"

namespace music {

// What an observer is told after every step, on every rank.
struct RunProgress {
  StepReport step;
  Report report;       // of the method
  std::string legend;  // its Method::legend()
  std::int64_t total_steps = 0, steps_per_epoch = 0, epochs = 0;
  std::int64_t views = 0;     // by this process so far
  double data_wait = 0;       // seconds it waited for data so far
};

// All processes of the communicator together; rank 0 writes the files. Trains
// until the last epoch, or goes on where an interrupted run stopped.
// The signals of interrupt.h end it at the next step boundary, after saving a
// checkpoint, with exit_code_of(signal). Returns the exit code. Throws Error for what a
// user can mend, before anything is written where possible.
int run_training(const ResolvedConfig& config,
                 const std::vector<std::string>& argv,
                 dist::Communicator& communicator,
                 const std::function<void(const RunProgress&)>& observe);

}  // namespace music
