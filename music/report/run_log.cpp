// logs/rank-0000.log: the verdicts on the run's health, its course, warnings.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>

#include "music/report/regular_file.h"
#include "music/report/run_parts.h"

namespace music {
namespace {

// "06:57:59 info [run] text" (engine/core/log.h).
struct LogLine {
  std::string_view time, level, text;
};

LogLine split(std::string_view line) {
  const auto first = line.find(' ');
  if (first == line.npos) return {};
  const auto second = line.find(' ', first + 1);
  if (second == line.npos) return {};
  return {line.substr(0, first), line.substr(first + 1, second - first - 1),
          line.substr(second + 1)};
}

bool is_course(std::string_view text) {
  constexpr std::array<std::string_view, 8> kBeginnings = {
      "[run] goes on", "[run] extended", "[run] SIG",   "[run] interrupted",
      "[run] done",    "[run] has had",  "[knn] after", "[score] "};
  return std::ranges::any_of(
      kBeginnings, [&](std::string_view b) { return text.starts_with(b); });
}

// "[run] 1.03 M parameters; memory: ..." and the like, for the system table.
bool add_fact(std::string_view text, RunSummary& run) {
  const auto set = [&](const char* fact, std::string_view value) {
    const auto it = std::ranges::find(
        run.system, fact, &std::pair<std::string, std::string>::first);
    if (it != run.system.end())
      it->second = value;
    else
      run.system.emplace_back(fact, value);
  };
  constexpr std::string_view kRun = "[run] ", kComputes = "[run] computes on ";
  if (text.starts_with(kComputes))
    set("computes on", text.substr(kComputes.size()));
  else if (text.starts_with(kRun) &&
           text.find("M parameters; memory") != text.npos)
    set("model and memory", text.substr(kRun.size()));
  else if (text.starts_with(kRun) && text.find(" steps in all; ") != text.npos)
    set("data", text.substr(kRun.size()));
  else
    return false;
  return true;
}

}  // namespace

void read_log(RunSummary& run, Problems& problems) {
  const auto file = run.path / "logs" / "rank-0000.log";
  std::ifstream in = open_regular(file);
  if (!in) {
    problems.push_back(
        fmt::format("{}: not there or not readable: no events", file.string()));
    return;
  }
  constexpr std::size_t kMost = 200;  // the first and the last half of them
  std::vector<RunEvent> late;
  for (std::string line; std::getline(in, line);) {
    const LogLine l = split(line);
    if (add_fact(l.text, run)) continue;
    RunEvent event{std::string(l.time), std::string(l.text)};
    constexpr std::string_view kHealth = "[health] ";
    if (l.text.starts_with(kHealth)) {
      event.kind = RunEvent::Kind::kHealth;
      const auto colon = l.text.find(": ");
      if (colon != l.text.npos) run.health = l.text.substr(colon + 2);
    } else if (l.level == "warning" || l.level == "error" ||
               l.level == "critical") {
      event.kind = RunEvent::Kind::kWarning;
    } else if (!is_course(l.text)) {
      continue;
    }
    if (run.events.size() < kMost / 2)
      run.events.push_back(std::move(event));
    else
      late.push_back(std::move(event));
    if (late.size() > kMost) {
      late.erase(late.begin(), late.begin() + kMost / 2);
      run.events_left_out += kMost / 2;
    }
  }
  run.events.insert(run.events.end(), late.begin(), late.end());
}

}  // namespace music
