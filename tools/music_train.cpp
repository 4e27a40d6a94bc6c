// music_train: pre-trains an encoder.

#include "dist/launch.h"
#include "dist/stacks.h"
#include "engine/core/log.h"
#include "music/train/run.h"
#include "tools/cli.h"
#include "tools/progress.h"
#include "tools/slurm.h"

namespace {

using namespace music;

int train(const ResolvedConfig& config, dist::Communicator& communicator,
          int argc, char** argv) {
  const TrainConfig& settings = config.value.train;
  setup_logging(settings.log_level, communicator.rank(), communicator.size());
  Progress display(settings.progress, communicator.rank(), settings.log_every);
  return run_training(
      config, {argv, argv + argc}, communicator, [&](const RunProgress& p) {
        ProgressState state;
        state.step = p.step.step + 1;
        state.steps = p.total_steps;
        state.epoch = static_cast<double>(state.step) /
                      static_cast<double>(p.steps_per_epoch);
        state.epochs = p.epochs;
        state.views = p.views;
        state.data_wait = p.data_wait;
        state.lines = p.report.lines;
        state.legend = p.legend;
        display.update(state);
      });
}

int train_main(int argc, char** argv) {
  CLI::App app("Pre-trains an image encoder: MUSIC, or another method of --method.");
  bool slurm = false;
  app.add_flag("--slurm-template", slurm,
               "print a batch script for Slurm with this command, and exit");
  const auto config = configure(app, argc, argv);
  if (!config) return 0;
  if (slurm) {
    std::fputs(slurm_template({argv, argv + argc}).c_str(), stdout);
    return 0;
  }
  require(config->value, {"data.path", "train.out"});
  const auto communicator = dist::join();
  dist::report_crashes(communicator->rank());
  if (communicator->size() == 1)
    return train(*config, *communicator, argc, argv);
  try {
    return train(*config, *communicator, argc, argv);
  } catch (const Error& e) {
    complain(argv, e.what());
    communicator->abort(e.code());  // the others must not wait for this one
    return static_cast<int>(e.code());
  }
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, train_main);
}
