// The MPI body in a build without it.

#include "dist/communicator.h"

namespace music::dist {

std::unique_ptr<Communicator> make_mpi_communicator() {
  throw error(ExitCode::kUsage,
              "[dist] this build has no MPI: install Open MPI and configure "
              "with -DMUSIC_MPI=ON");
}

}  // namespace music::dist
