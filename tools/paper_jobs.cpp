#include "tools/paper_jobs.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "music/files/run_directory.h"
#include "tools/child_process.h"

namespace music {
namespace {

// Redirections to a part that is renamed: what is there is whole.
std::string line_of(const PaperStep& step, const std::string& launcher) {
  std::vector<std::string> command = step.command;
  command.front() = program_folder() + "/" + command.front();
  // What reads other programs' files is no job of many processes.
  const bool many = step.what == "pre-training" || !step.after.empty();
  const auto quoted = [](const std::string& path) { return command_line({path}); };
  std::string line = (many ? launcher : "") + command_line(command);
  if (!step.output.empty())
    line += fmt::format(" >{} 2>>{} && mv {} {}", quoted(step.result + ".part"),
                        quoted(step.log), quoted(step.result + ".part"),
                        quoted(step.result));
  else
    line += " 2>>" + quoted(step.log);
  return line;
}

// What the settings of the steps were resolved with, and where they write.
std::string surroundings(const PaperPlace& place) {
  std::string text;
  for (const auto& [name, value] : place.environment)
    text += fmt::format("export {}={}\n", name, command_line({value}));
  const std::string& out = place.out;
  return text + fmt::format("mkdir -p {} {} {}\n", command_line({out + "/runs"}),
                     command_line({out + "/scores"}), command_line({out + "/rows"}));
}

}  // namespace

std::vector<PaperStep> remaining(const std::vector<PaperStep>& steps) {
  std::vector<PaperStep> left;
  std::set<std::string> seen;
  for (const PaperStep& step : steps)
    if (step.what != "plan" && seen.insert(step.result).second && !is_done(step))
      left.push_back(step);
  return left;
}

std::string mpirun_jobs(const std::vector<PaperStep>& steps, int processes,
                        const PaperPlace& place) {
  const std::string launcher =
      processes > 1 ? fmt::format("mpirun -np {} ", processes) : "";
  std::string text = surroundings(place);
  for (const PaperStep& step : steps)
    text += line_of(step, launcher) + "  # " + step.row + ": " + step.what + "\n";
  return text;
}

std::string slurm_jobs(const std::vector<PaperStep>& steps, int processes,
                       const PaperPlace& place) {
  // Tasks by the run that they make or read.
  std::vector<std::string> order;
  std::map<std::string, std::vector<std::string>> tasks;
  const std::string launcher =
      "srun --mpi=pmix --kill-on-bad-exit=1 --cpus-per-task=\"$SLURM_CPUS_PER_TASK\" ";
  for (const PaperStep& step : steps) {
    const std::string key = !step.after.empty() ? step.after : step.key;
    if (!tasks.contains(key)) order.push_back(key);
    tasks[key].push_back(line_of(step, launcher));
  }
  if (order.empty()) return "# nothing remains\n";
  std::string text = fmt::format(R"(#!/bin/bash
#SBATCH --job-name=music-paper
#SBATCH --array=0-{}
#SBATCH --ntasks={}
#SBATCH --cpus-per-task=8
##SBATCH --gpus-per-task=1
#SBATCH --time=24:00:00
#SBATCH --output=%x-%A-%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
# Three minutes before the end every process saves and exits with 16.
#SBATCH --signal=USR1@180
)", order.size() - 1, processes);
  text += surroundings(place);
  text += "task() {\n  case $SLURM_ARRAY_TASK_ID in\n";
  for (std::size_t i = 0; i < order.size(); ++i) {
    text += fmt::format("    {})\n", i);
    for (const std::string& line : tasks[order[i]])
      text += "      { " + line + "; } || return\n";
    text += "      ;;\n";
  }
  text += R"(  esac
}
task
code=$?
# The same task goes on from the last checkpoint.
if [ $code -eq 16 ] || [ $code -eq 21 ]; then scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"; fi
exit $code
)";
  return text;
}

}  // namespace music
