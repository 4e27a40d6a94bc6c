#include "music/report/run_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "music/files/checkpoint.h"
#include "music/report/regular_file.h"
#include "music/report/run_parts.h"

namespace music {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

void read_quarantine_file(RunSummary& run) {
  constexpr std::int64_t kShown = 20;
  std::ifstream in = open_regular(run.path / "quarantine.jsonl");
  for (std::string line; std::getline(in, line);) {
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("sample")) continue;
    const auto text = [&](const char* key) {
      return json.contains(key) && json[key].is_string()
                 ? json[key].get<std::string>()
                 : std::string();
    };
    if (run.quarantined++ < kShown)
      run.quarantine.emplace_back(text("name"), text("reason"));
  }
}

// "4@24 9@80": epochs that it was to have until which step.
void read_checkpoint(RunSummary& run, Problems& problems) {
  std::error_code failure;
  if (!fs::is_directory(run.path / "ckpt", failure)) {
    problems.push_back(fmt::format("{}: no checkpoints", run.path.string()));
    return;
  }
  const auto state = latest_state(run.path / "ckpt");
  if (!state) {
    problems.push_back(
        fmt::format("{}: no whole checkpoint", (run.path / "ckpt").string()));
    return;
  }
  run.system.emplace_back("processes", std::to_string(state->world_size));
  const auto extended = state->extra.find("extended");
  if (extended == state->extra.end()) return;
  for (std::string_view rest = extended->second; !rest.empty();) {
    const auto word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
    if (const auto at = word.find('@'); at != word.npos)
      run.extended.push_back(fmt::format(
          "{} epochs until step {}", word.substr(0, at), word.substr(at + 1)));
  }
}

std::int64_t integer(const std::string& text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// The last `parts` names of a path, "runs/a".
std::string tail(const fs::path& path, std::size_t parts) {
  std::vector<std::string> names;
  for (const auto& part : path)
    if (!part.empty() && part != "/") names.push_back(part.string());
  std::string out;
  for (std::size_t i = names.size() - std::min(parts, names.size());
       i < names.size(); ++i)
    out += (out.empty() ? "" : "/") + names[i];
  return out.empty() ? path.string() : out;
}

}  // namespace

std::string RunSummary::setting(const std::string& key) const {
  const auto it = std::ranges::find(settings, key, &RunSetting::key);
  if (it == settings.end()) return "";
  const std::string& v = it->value;
  return v.size() >= 2 && v.front() == '"' && v.back() == '"'
             ? v.substr(1, v.size() - 2)
             : v;
}

bool looks_like_run(const fs::path& path) {
  std::error_code failure;
  return std::ranges::any_of(
      std::initializer_list<const char*>{"metrics.jsonl", "config.toml",
                                         "env.json", "ckpt", "eval",
                                         "encoder.safetensors"},
      [&](const char* name) { return fs::exists(path / name, failure); });
}

RunSummary read_run(const fs::path& path, std::size_t points,
                    Problems& problems) {
  RunSummary run{
      .path = path,
      .metrics = read_metrics(path / "metrics.jsonl", points, problems)};
  std::error_code failure;
  const auto written = fs::last_write_time(path / "metrics.jsonl", failure);
  if (!failure) run.written = written;
  read_environment(run, problems);
  read_settings(run, problems);
  read_log(run, problems);
  read_checkpoint(run, problems);
  read_scores(run, problems);
  read_quarantine_file(run);
  run.has_encoder = fs::exists(path / "encoder.safetensors", failure);
  if (!run.has_encoder)
    problems.push_back(
        fmt::format("{}: no encoder.safetensors", path.string()));
  run.epochs = integer(run.setting("train.epochs"));
  run.total_steps = static_cast<std::int64_t>(std::llround(
      static_cast<double>(run.epochs) * run.metrics.curves.steps_per_epoch()));
  return run;
}

void label_runs(std::vector<fs::path>& runs, std::vector<std::string>& labels,
                Problems& problems) {
  std::vector<fs::path> kept, whole;
  for (const fs::path& run : runs) {
    std::error_code failure;
    fs::path full = fs::weakly_canonical(fs::absolute(run, failure), failure);
    if (std::ranges::find(whole, full) != whole.end()) {
      problems.push_back(
          fmt::format("{}: given twice, shown once", run.string()));
      continue;
    }
    kept.push_back(run);
    whole.push_back(std::move(full));
  }
  runs = std::move(kept);
  labels.clear();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::size_t parts = 1;
    const auto shared = [&] {
      for (std::size_t j = 0; j < whole.size(); ++j)
        if (j != i && tail(whole[j], parts) == tail(whole[i], parts))
          return true;
      return false;
    };
    while (parts < 64 && shared()) ++parts;
    labels.push_back(tail(whole[i], parts));
  }
}

}  // namespace music
