#pragma once
// How processes come together: from the launcher's environment to a
// communicator.

#include <memory>
#include <string>

#include "dist/communicator.h"

namespace music::dist {

// What mpirun or srun said to this process, before any MPI call.
struct Launch {
  int rank = 0, size = 1;
  std::string launcher;  // "mpirun", "srun"; "": started alone
};
Launch launch_from_environment();

// The processes that were started together, or this one alone: then MPI is not
// touched. Throws ExitCode::kUsage when this build has no MPI, or when MPI sees
// other processes than the launcher started.
std::unique_ptr<Communicator> join();

}  // namespace music::dist
