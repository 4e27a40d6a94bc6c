#pragma once
// What the programs that train share: joining the other processes, and the
// progress display around a run.

#include <CLI/CLI.hpp>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dist/communicator.h"
#include "music/config/config.h"
#include "music/model/encoder_file.h"

namespace music {

// run_main() of a program that trains. Signals that ask a run to save and stop
// (interrupt.h) have their exit codes from its first moment on.
int run_training_main(int argc, char** argv,
                      const std::function<int(int, char**)>& body);

// Joins the job's processes and runs body on each. An Error that one of several
// meets is printed and ends the others too, which must not wait for it. Returns
// the exit code.
int run_processes(char** argv,
                  const std::function<int(dist::Communicator&)>& body);

// run_training() with its log and progress display. argv: as it is recorded.
int train_with_display(const ResolvedConfig& config,
                       const std::vector<std::string>& argv,
                       dist::Communicator& communicator);

// --extend: the run of --out to more epochs.
class ExtendFlag {
 public:
  explicit ExtendFlag(CLI::App& app);
  // As --resume extend; kUsage beside another --resume.
  void add_to(ConfigSources& sources) const;

 private:
  bool given_ = false;
};

// configure() with --extend, for music_train and what takes its command lines.
std::optional<ResolvedConfig> configure_training(CLI::App& app, int argc,
                                                 char** argv);

// Adds what an encoder's file says of network, images and weights to the known
// settings, and the folder of the run where there is one.
void add_encoder(ConfigSources& sources, const EncoderInfo& info,
                 const std::string& path,
                 const std::optional<std::filesystem::path>& out);

}  // namespace music
