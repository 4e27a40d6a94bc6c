#include "tools/training_cli.h"

#include "dist/launch.h"
#include "dist/stacks.h"
#include "engine/core/error.h"
#include "engine/core/log.h"
#include "music/config/config_keys.h"
#include "music/train/interrupt.h"
#include "music/train/run.h"
#include "tools/cli.h"
#include "tools/progress.h"

namespace music {

int run_training_main(int argc, char** argv,
                      const std::function<int(int, char**)>& body) {
  hold_signals();
  return run_main(argc, argv, [&](int count, char** words) {
    // Of several, a launcher ends the others with SIGTERM where one has failed.
    end_on_signals(dist::launch_from_environment().size == 1);
    return body(count, words);
  });
}

int run_processes(char** argv,
                  const std::function<int(dist::Communicator&)>& body) {
  const auto communicator = dist::join();
  dist::report_crashes(communicator->rank());
  if (communicator->size() == 1) return body(*communicator);
  try {
    return body(*communicator);
  } catch (const Error& e) {
    complain(argv, e.what());
    communicator->abort(e.code());
    return static_cast<int>(e.code());
  }
}

int train_with_display(const ResolvedConfig& config,
                       const std::vector<std::string>& argv,
                       dist::Communicator& communicator) {
  const TrainConfig& settings = config.value.train;
  setup_logging(settings.log_level, communicator.rank(), communicator.size());
  Progress display(settings.progress, communicator.rank(), settings.log_every);
  return run_training(config, argv, communicator, [&](const RunProgress& p) {
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

ExtendFlag::ExtendFlag(CLI::App& app) {
  app.add_flag("--extend", given_,
               "go on with the run of --out to more epochs than it was started "
               "with, as --resume extend");
}

void ExtendFlag::add_to(ConfigSources& sources) const {
  if (!given_) return;
  for (const auto& [key, text] : sources.flags)
    if (key == "train.resume" && text != "extend")
      throw error(ExitCode::kUsage,
                  "[cli] --extend and --resume {}: expected one of them", text);
  sources.flags.emplace_back("train.resume", "extend");
}

std::optional<ResolvedConfig> configure_training(CLI::App& app, int argc,
                                                 char** argv) {
  const ExtendFlag extend(app);
  return configure(app, argc, argv, [&](ConfigSources& sources) {
    extend.add_to(sources);
  });
}

void add_encoder(ConfigSources& sources, const EncoderInfo& info,
                 const std::string& path,
                 const std::optional<std::filesystem::path>& out) {
  Config c;
  c.model.encoder = info.encoder;
  c.augment.size = info.image_size;
  c.pixels = info.pixels;
  for (const char* key : {"model.arch", "model.width", "model.stem",
                          "model.init", "model.zero_init_residual",
                          "augment.size", "augment.mean", "augment.std"}) {
    std::string text = field_text(*find_config_key(key), c);
    std::erase(text, '"');  // of a word, as a flag has it
    sources.known.push_back({key, text, "of the encoder"});
  }
  sources.known.push_back({"model.weights", path, "the encoder"});
  if (out) sources.known.push_back({"train.out", out->string(), "in the run"});
}

}  // namespace music
