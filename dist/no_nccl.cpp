// The NCCL body in a build without it.

#include "dist/device_communicator.h"

namespace music::dist {

bool have_nccl() { return false; }

std::unique_ptr<Communicator> make_nccl_communicator(Communicator&) {
  throw error(ExitCode::kUsage,
              "[dist] this build has no NCCL: configure with -DMUSIC_CUDA=ON "
              "where nccl.h is found, or use --exchange host");
}

}  // namespace music::dist
