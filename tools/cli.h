#pragma once
// What every program shares: the main wrapper and strict command lines.
//
//   int main(int argc, char** argv) {
//     return music::run_main(argc, argv, [](int argc, char** argv) {
//       CLI::App app("Trains an encoder without labels.");
//       const auto config = music::configure(app, argc, argv);
//       if (!config) return 0;  // --help, --version, --print-config
//       ...
//     });
//   }

#include <CLI/CLI.hpp>

#include <functional>
#include <optional>
#include <string>

#include "music/config/config.h"

namespace music {

// Runs body(argc, argv) and returns its exit code. An Error becomes one line
// on standard error and its own code; memory or a thread that cannot be had one
// of kMemory; any other exception exit code 1. A closed pipe on standard output or
// error never ends the program, and a limit on the size of files is a write that fails. Before that, settle_wait_policy() may start the
// program anew.
int run_main(int argc, char** argv,
             const std::function<int(int, char**)>& body);

// One line about what went wrong on standard error, newlines taken out, with the
// rank of a process of several. Ranks other than 0 wait a moment first: what is
// wrong on all is then said once, because rank 0's exit ends them.
void complain(char** argv, std::string message);

// Parses into app's options, adding --help and --version. False: it printed
// what was asked, and the program is done. Throws ExitCode::kUsage; an unknown
// flag comes with a suggestion.
bool parse(CLI::App& app, int argc, char** argv);

// parse() with -c/--config, every key of the configuration as a flag, and
// --print-config; then resolve(), with what the program adds to the sources by
// its own flags. The warnings are logged. Nothing: done.
std::optional<ResolvedConfig> configure(
    CLI::App& app, int argc, char** argv,
    const std::function<void(ConfigSources&)>& add = nullptr);

}  // namespace music
