// music_train: pre-trains an encoder on images without labels.

#include "engine/core/log.h"
#include "music/run.h"
#include "tools/cli.h"
#include "tools/progress.h"

namespace {

using namespace music;

ProgressTerms terms_of(const JointEntropyTerms& t) {
  return {t.total, t.de, t.oe, t.ti};
}

int train_main(int argc, char** argv) {
  CLI::App app("Pre-trains an image encoder without labels (MUSIC).");
  const auto config = configure(app, argc, argv);
  if (!config) return 0;
  require(config->value, {"data.path", "train.out"});
  setup_logging(config->value.train.log_level);
  Progress display(config->value.train.progress, 0,
                   config->value.train.log_every);
  return run_training(
      *config, {argv, argv + argc}, [&](const RunProgress& p) {
        ProgressState state;
        state.step = p.step.step + 1;
        state.steps = p.total_steps;
        state.epoch = static_cast<double>(state.step) /
                      static_cast<double>(p.steps_per_epoch);
        state.epochs = p.epochs;
        state.views = p.views;
        state.data_wait = p.data_wait;
        state.now = terms_of(p.step.outcome.terms);
        state.uniform = terms_of(p.health.lines.uniform);
        state.best = terms_of(p.health.lines.ideal);
        display.update(state);
      });
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, train_main);
}
