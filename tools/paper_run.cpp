#include "tools/paper_run.h"

#include <fmt/format.h>
#include <sys/file.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "engine/core/error.h"
#include "engine/core/text.h"
#include "engine/io/file.h"
#include "music/files/run_directory.h"
#include "music/train/interrupt.h"
#include "tools/child_process.h"

namespace music {
namespace {

namespace fs = std::filesystem;

// The last line of a log, which is what a program said when it failed.
std::string last_line(const std::string& path) {
  std::ifstream file(path);
  std::string line, last;
  while (std::getline(file, line))
    if (!line.empty()) last = line;
  return one_line(last);
}

// "table08-de-oe.log": what was run for a row, and how it ended.
void note(const std::string& out, const PaperStep& step, const std::string& text) {
  std::string name = step.row;
  name[name.find(' ')] = '-';
  std::ofstream file(fs::path(out) / "rows" / (name + ".log"), std::ios::app);
  file << text << '\n';
}

// The usage of a run in parts.
void add_usage(const PaperUnit& unit, const ChildResult& child) {
  PaperUsage usage = read_usage(unit);
  usage.seconds += child.seconds;
  usage.processor_seconds += child.processor_seconds;
  usage.peak_gib = std::max(usage.peak_gib, child.peak_gib);
  write_usage(unit, usage);
}

// "" or why it failed. Interrupted: the signal.
std::string run_step(const PaperStep& step, const std::string& out, int& signal) {
  const std::string program = program_folder() + "/" + step.command.front();
  const std::string part = step.result + ".part";
  const std::vector<std::string> arguments(step.command.begin() + 1,
                                           step.command.end());
  note(out, step, command_line(step.command));
  // What a pre-training prints is of no use to anybody.
  const ChildResult child =
      run_child(program, arguments, step.output.empty() ? "/dev/null" : part,
                step.log);
  signal = child.passed;
  if (step.unit) add_usage(*step.unit, child);
  note(out, step, fmt::format("  {}: exit code {}, {:.1f} s; {}", step.what,
                              child.code, child.seconds, step.log));
  // A plan of what does not fit is a plan.
  const bool ended = child.code == 0 || (step.what == "plan" && child.passed == 0);
  if (!step.output.empty() && ended) rename_path(part, step.result);
  if (!ended) {
    std::error_code gone;
    fs::remove(part, gone);
    if (signal != 0) return "stopped";
    return fmt::format("{} ended with exit code {}: {}", step.command.front(),
                       child.code, last_line(step.log));
  }
  if (is_done(step)) return "";
  return fmt::format("{} left no result in {}", step.command.front(), step.result);
}

}  // namespace

std::vector<PaperStep> steps_of(const PaperTable& table, const PaperScale& scale,
                                const std::vector<const PaperRow*>& rows,
                                int seeds, const PaperPlace& place,
                                std::vector<std::unique_ptr<PaperUnit>>& units,
                                PaperFailures& failures) {
  std::vector<PaperStep> steps;
  for (const PaperRow* row : rows) {
    const std::string name = table.name() + " " + row->id;
    for (int seed = 0; seed < seeds && row->reason.empty(); ++seed) {
      units.push_back(std::make_unique<PaperUnit>(make_unit(
          table, *row, scale, static_cast<std::uint64_t>(seed), place)));
      const PaperUnit& unit = *units.back();
      std::vector<PaperStep> scorings;
      bool needs_run = false, measures = false;
      for (const PaperColumn& c : table.columns)
        measures = measures || (c.measured() && row->numbers.contains(c.name));
      for (const std::string& evaluation : evaluations_of(table, *row)) {
        const PaperScoring s = make_scoring(evaluation, *row, scale, unit, place);
        if (!s.missing.empty()) {
          failures.reasons[s.record] = s.missing;
          continue;
        }
        needs_run = needs_run || s.needs_run;
        scorings.push_back({name, evaluation, s.record, s.record, s.record,
                            s.log(), s.command, s.needs_run ? unit.run : "",
                            nullptr, ""});
      }
      const std::string no_data = missing_data(unit.role, place);
      if ((needs_run || measures) && no_data.empty())
        steps.push_back({name, "pre-training", unit.run,
                         unit.run + "/encoder.safetensors", "", unit.log(),
                         unit.command, "", &unit, ""});
      else if (!no_data.empty())
        failures.reasons[unit.run] = no_data;
      // Where it could not be trained, as on a machine that does not hold it.
      if (measures && !unit.plan.empty() && seed == 0)
        steps.push_back({name, "plan", unit.planned(), unit.planned(),
                         unit.planned(), unit.log(), unit.plan, "", nullptr,
                         unit.run + "/encoder.safetensors"});
      steps.insert(steps.end(), scorings.begin(), scorings.end());
    }
  }
  return steps;
}

PaperLock::PaperLock(const std::string& out) {
  const std::string path = (fs::path(out) / ".lock").string();
  file_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file_ < 0)
    throw error(ExitCode::kUsage, "[paper] cannot write {}: {}", path, std::strerror(errno));
  if (flock(file_, LOCK_EX | LOCK_NB) == 0) return;
  const int why = errno;
  close(file_);
  if (why == EWOULDBLOCK)
    throw error(ExitCode::kUsage, "[paper] {} is in use by another music_paper", out);
  throw error(ExitCode::kUsage, "[paper] cannot lock {}: {}; expected a file system with "
              "locks", path, std::strerror(why));
}

PaperLock::~PaperLock() { close(file_); }

bool is_done(const PaperStep& step) {
  if (!step.unless.empty() && fs::is_regular_file(step.unless)) return true;
  if (step.what == "pre-training" || step.what == "plan")
    return fs::is_regular_file(step.result) && fs::file_size(step.result) > 0;
  return has_record(step.result);
}

int run_steps(const std::vector<PaperStep>& steps, const std::string& out,
              PaperFailures& failures) {
  std::set<std::string> seen;
  std::vector<const PaperStep*> left;
  for (const PaperStep& step : steps)
    if (seen.insert(step.result).second && !is_done(step)) left.push_back(&step);
  std::size_t number = 0;
  const InterruptGuard guard;
  for (const PaperStep* step : left) {
    ++number;
    if (is_done(*step)) continue;  // a plan whose run is there by now
    if (!step->after.empty() &&
        !fs::is_regular_file(fs::path(step->after) / "encoder.safetensors"))
      continue;  // why, the failure of its run says
    fmt::print(stderr, "{}/{} {}: {}{}\n", number, left.size(), step->row,
               step->what,
               fs::exists(step->result) ? "; " + step->result + " is damaged" : "");
    int signal = 0;
    const std::string failed = run_step(*step, out, signal);
    if (!failed.empty() && signal == 0) {
      failures.reasons[step->key] = failed;
      failures.failed.insert(step->key);
      fmt::print(stderr, "  {}\n", failed);
    }
    if (signal == 0) signal = InterruptGuard::pending();
    if (signal != 0) return signal;
  }
  return 0;
}

}  // namespace music
