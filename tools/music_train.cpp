// music_train: pre-trains an encoder.

#include <spdlog/spdlog.h>

#include "music/report/run_report.h"
#include "tools/cli.h"
#include "tools/slurm.h"
#include "tools/training_cli.h"

namespace {

using namespace music;

// The run is done and whole without it.
void write_page(const std::string& run) {
  try {
    write_run_report(run);
    spdlog::info("[report] {}/report.html", run);
  } catch (const std::exception& e) {
    spdlog::warn("[report] no {}/report.html: {}", run, e.what());
  }
}

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
    const int status =
        train_with_display(*config, {argv, argv + argc}, communicator);
    if (status == 0 && communicator.rank() == 0) write_page(config->value.train.out);
    return status;
  });
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, train_main);
}
