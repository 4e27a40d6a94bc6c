// music_train: pre-trains an encoder.

#include "tools/cli.h"
#include "tools/slurm.h"
#include "tools/training_cli.h"

namespace {

using namespace music;

int train_main(int argc, char** argv) {
  CLI::App app("Pre-trains an image encoder: MUSIC, or another method of --method.");
  bool slurm = false;
  app.add_flag("--slurm-template", slurm,
               "print a batch script for Slurm with this command, and exit");
  const auto config = configure_training(app, argc, argv);
  if (!config) return 0;
  if (slurm) {
    std::fputs(slurm_template({argv, argv + argc}).c_str(), stdout);
    return 0;
  }
  require(config->value, {"data.path", "train.out"});
  return run_processes(argv, [&](dist::Communicator& communicator) {
    return train_with_display(*config, {argv, argv + argc}, communicator);
  });
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_training_main(argc, argv, train_main);
}
