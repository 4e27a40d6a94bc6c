#pragma once
// What remains of the paper's rows as commands for other machines.

#include <string>
#include <vector>

#include "tools/paper_run.h"

namespace music {

// Those without a result, each once; without plans, which are for here.
std::vector<PaperStep> remaining(const std::vector<PaperStep>& steps);

// Lines for a shell: a pre-training and what scores it each on its own line, in
// an order in which they can be run.
std::string mpirun_jobs(const std::vector<PaperStep>& steps, int processes,
                        const PaperPlace& place);

// A batch script: a job array with a task for each pre-training and what scores
// it. A task that is run again goes on.
std::string slurm_jobs(const std::vector<PaperStep>& steps, int processes,
                       const PaperPlace& place);

}  // namespace music
