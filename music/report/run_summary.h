#pragma once
// What a run's directory tells, read for people: whatever of it is there.

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "music/report/metrics_reader.h"

namespace music {

// A key of config.toml as it stands there: value in TOML, origin "flag".
struct RunSetting {
  std::string key, value, origin = {};
};

struct ScoreLine {
  std::string name, unit = {};
  double value = 0;
  std::optional<double> deviation, chance, random_initialisation = {};
};

// A record of eval/ (tools/score_record.h).
struct RunScores {
  std::string file, program, version, protocol, hash, settings = {};
  std::string data = {};  // what was scored, in words, and its fingerprint
  std::string fingerprint = {};
  std::vector<std::string> notes = {};
  std::vector<ScoreLine> scores = {};
  std::size_t seeds = 1;
  std::string compute = {};
  double seconds = 0;
};

// Scores that were taken during training, as "knn20" after each epoch.
struct ScoreCurve {
  std::string name = {};
  struct Point {
    double step = 0, epoch = 0, value = 0;
  };
  std::vector<Point> points = {};
};

// A line of the log that a reader should know of.
struct RunEvent {
  std::string time, text = {};
  enum class Kind { kHealth, kCourse, kWarning } kind = Kind::kCourse;
};

struct RunSummary {
  std::filesystem::path path = {};
  std::string label = {};
  RunMetrics metrics = {};
  std::vector<RunSetting> settings = {};
  std::vector<std::pair<std::string, std::string>> system = {};  // fact, value
  std::vector<RunScores> scores = {};
  std::vector<ScoreCurve> score_curves = {};
  std::vector<RunEvent> events = {};  // at most some hundred
  std::int64_t events_left_out = 0;
  std::vector<std::pair<std::string, std::string>> quarantine =
      {};  // name, reason
  std::int64_t quarantined = 0;
  std::vector<std::string> extended = {};  // "4 epochs until step 24"
  std::string health = {};  // the last verdict, "" where none is known
  bool has_encoder = false;
  std::int64_t epochs = 0, total_steps = 0;  // that it is to have; 0: not known
  std::optional<std::filesystem::file_time_type> written =
      {};  // of metrics.jsonl

  // Of a setting; "" where it is not known, strings without quotes.
  std::string setting(const std::string& key) const;
};

// Whether a folder holds anything of a run.
bool looks_like_run(const std::filesystem::path& path);

// problems: one line each about what is missing, damaged or of another version.
RunSummary read_run(const std::filesystem::path& path, std::size_t points,
                    std::vector<std::string>& problems);

// Names that tell the runs apart: the folder's, with as many of those above it
// as it takes. Runs given twice are taken out, with a line in problems.
void label_runs(std::vector<std::filesystem::path>& runs,
                std::vector<std::string>& labels,
                std::vector<std::string>& problems);

}  // namespace music
