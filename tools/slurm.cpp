#include "tools/slurm.h"

#include <fmt/format.h>

#include "music/files/run_directory.h"

namespace music {

std::string slurm_template(const std::vector<std::string>& argv) {
  std::vector<std::string> command;
  for (const std::string& word : argv)
    if (word != "--slurm-template") command.push_back(word);
  if (command.size() <= 1)
    command.insert(command.end(), {"--data", "DATA", "--out", "runs/a"});
  return fmt::format(R"(#!/bin/bash
# One task is one process of training; with GPUs, one GPU each.
#SBATCH --job-name=music
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=8
##SBATCH --gpus-per-node=8
#SBATCH --time=24:00:00
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
# Three minutes before the end every process saves and exits with 16.
#SBATCH --signal=USR1@180

srun --mpi=pmix --kill-on-bad-exit=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" \
  {}
code=$?
# The same command goes on from the last checkpoint.
if [ $code -eq 16 ] || [ $code -eq 21 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit $code
)", command_line(command));
}

}  // namespace music
