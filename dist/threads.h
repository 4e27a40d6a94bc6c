#pragma once
// How many threads a process runs, and why.

#include <string>
#include <string_view>

#include "dist/communicator.h"
#include "engine/core/cores.h"

namespace music::dist {

struct Threads {
  int compute = 1, loader = 1;
  // One line for the log: "2 compute and 2 loader threads: all 2 cores".
  std::string why;
};

// What decides, beside what a flag asks for.
struct ThreadFacts {
  AllowedCores allowed;
  // This process's part of the cores of its mask, where a core is shared out
  // among the processes of the job that may use it; likewise of its quota
  // (0: no limit).
  double cores = 1, quota = 0;
  int processes = 1;  // of the job on this machine
  std::string_view launcher;     // launch_from_environment()
  const char* omp_num_threads = nullptr;  // the variable
};

// The rule. compute_asked and loader_asked: what flags say, 0 for nothing.
// Compute threads: the flag, else OMP_NUM_THREADS, else this process's part of
// the cores, or of the CPU quota where that is less, rounded down, at least 1.
// Loader threads: the flag, else the same without OMP_NUM_THREADS, which many
// launchers set to 1 without a thought of input.
Threads decide_threads(const ThreadFacts& facts, int compute_asked,
                       int loader_asked);

// The same with the facts of this process. Collective over the communicator.
Threads choose_threads(Communicator& communicator, int compute_asked,
                       int loader_asked);
// For a program that runs as one process.
Threads choose_threads(int compute_asked, int loader_asked);

}  // namespace music::dist
