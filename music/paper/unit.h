#pragma once
// What is run: pre-trainings and the evaluations of each, settled from a row, a
// scale and a seed. Rows whose settled configurations are equal share a unit.

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "music/config/config.h"
#include "music/paper/declaration.h"

namespace music {

// Paths by role, and environment that reaches the programs too.
struct PaperPlace {
  std::map<std::string, std::string> data;
  std::string out;
  std::vector<std::pair<std::string, std::string>> environment;
};

// The configuration of a row at a scale, as flags of music_train: preset first,
// without data, seed and output. Throws ExitCode::kUsage where a scale has no
// replacement for a value, or the result does not resolve.
PaperSettings settle(const PaperTable& table, const PaperRow& row,
                     const PaperScale& scale);

// One pre-training.
struct PaperUnit {
  std::string identity;  // "cifar-8b6daf59259d-s0": role, configuration, seed
  std::string run;       // OUT/runs/IDENTITY, music_train's directory
  std::string role;      // of its images
  std::uint64_t seed = 0;
  std::int64_t images = 0;  // for plans; 0 = not known
  ResolvedConfig config;
  std::vector<std::string> command;  // program and flags, no path to the program
  std::vector<std::string> plan;     // of music_plan; [] = none

  std::string log() const { return run + ".log"; }
  std::string measured() const { return run + ".measured.json"; }
  std::string planned() const { return run + ".plan.json"; }
};

PaperUnit make_unit(const PaperTable& table, const PaperRow& row,
                    const PaperScale& scale, std::uint64_t seed,
                    const PaperPlace& place);

struct PaperScoring {
  std::string name;     // evaluation
  std::string record;   // OUT/scores/IDENTITY-EVALUATION-HASH.json
  std::string missing;  // why it cannot run; "" = it can
  bool needs_run = false;  // reads the unit's encoder
  std::vector<std::string> command;

  std::string log() const;
};

PaperScoring make_scoring(const std::string& evaluation, const PaperRow& row,
                          const PaperScale& scale, const PaperUnit& unit,
                          const PaperPlace& place);

// Evaluations that a row's numbers come from, in order, each once.
std::vector<std::string> evaluations_of(const PaperTable& table,
                                        const PaperRow& row);

// Why there are no images of a role: no path, or nothing there. "" = there are.
std::string missing_data(const std::string& role, const PaperPlace& place);

}  // namespace music
