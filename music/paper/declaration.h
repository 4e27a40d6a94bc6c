#pragma once
// The paper's tables as they are declared in presets/paper/*.toml: rows with the
// paper's numbers and the configurations behind them, scales with what they put
// in place of what, evaluations, and claims between rows. docs/paper.md is the
// user's page and describes the files.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace music {

// key -> text, as flags are.
using PaperSettings = std::vector<std::pair<std::string, std::string>>;

// A number that a row may have. Of an evaluation: the score of that name in its
// record. "time" (hours for 100 epochs) and "memory" (GB of a process at its
// peak) are measured by the pre-training.
struct PaperColumn {
  std::string name;        // "top-1"; unique in its table
  std::string evaluation;  // of the scale's; or "time", "memory"
  std::string score;       // "" = name
  double times = 1;        // record's unit to the paper's
  bool measured() const { return evaluation == "time" || evaluation == "memory"; }
};

struct PaperRow {
  std::string id, label;
  std::string reason;  // why nothing here can make it; "" = something does
  std::string note;    // how the paper was read
  std::string preset, family;  // of scales
  PaperSettings settings;      // over the preset, in the paper's terms
  std::map<std::string, double> numbers;  // the paper's, by column
  // Columns whose number is that of random weights in the same evaluation, as
  // of a network that labels alone have trained.
  std::vector<std::string> from_scratch;
};

// What the paper says of rows beside each other, and a smaller scale may
// confirm.
struct PaperClaim {
  std::string text, column;
  std::vector<std::string> over;   // each of these rows is above
  std::vector<std::string> under;  // each of these
};

struct PaperTable {
  int number = 0;
  std::string title, caption;
  std::vector<PaperColumn> columns;
  std::vector<PaperRow> rows;
  std::vector<PaperClaim> claims;

  std::string name() const;  // "table08"
};

// {run} (of the pre-training), {data} (its images), {seed}, {row}, {out} and
// {ROLE}, a path of --data, stand for what they name.
struct PaperEvaluation {
  std::string reason;  // why this scale has none
  std::string program;
  std::vector<std::string> arguments;
};

// How one family of rows ("imagenet", "cifar") is pre-trained at a scale.
struct PaperFamily {
  std::string data;  // role
  std::int64_t images = 0;  // so many it has; for plans only
  std::string base;  // preset in place of a row's; "" = the row's stays
  PaperSettings set;
  std::map<std::string, PaperSettings> methods;  // over set, by method.name
  // key -> the paper's value -> ours. Of "model.projector": each width.
  std::map<std::string, std::map<std::string, std::string>> replace;
  std::vector<std::string> own;  // keys of rows that the scale settles itself
};

struct PaperBand {
  // The paper's number within so much, by evaluation; or, where that is absent,
  // above chance and random weights by `margin`.
  std::map<std::string, double> within;
  double margin = 0;
  double noise = 0;           // points between two runs that say nothing, one seed
  double measured_noise = 0;  // likewise of times and memory, as a share
  std::string source;
};

struct PaperScale {
  std::string name, about;
  std::vector<std::string> changes;
  std::map<std::string, PaperFamily> families;
  std::map<std::string, PaperEvaluation> evaluations;
  PaperBand band;
  // music_plan's flags for the machine that the paper's numbers are of; [] = a
  // time that is not measured is not planned either.
  std::vector<std::string> planner;
};

struct Paper {
  std::vector<PaperTable> tables;  // by number
  std::vector<PaperScale> scales;  // as declared
  std::map<std::string, std::string> roles;  // what --data ROLE= expects

  // Throw ExitCode::kUsage for an unknown one, with those there are.
  const PaperTable& table(int number) const;
  const PaperScale& scale(const std::string& name) const;
};

// Reads texts by name ("scales", "table01", ...). Throws ExitCode::kUsage with
// name and line for TOML that is none, an unknown or missing key, a value of
// another type, an id that stands twice, a column or row that is none.
Paper parse_paper(const std::map<std::string, std::string>& texts);

// The texts of presets/paper/*.toml, compiled in, or those of a folder.
const std::map<std::string, std::string>& embedded_paper();
std::map<std::string, std::string> read_paper(const std::string& folder);

}  // namespace music
