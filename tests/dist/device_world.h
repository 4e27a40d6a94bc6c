#pragma once
// What processes on GPUs exchange by, in tests: the staged body always, NCCL
// where it can be. On the emulated device NCCL's calls are emulated too, over
// MPI; on one real GPU NCCL is a world of one, while several processes share
// the GPU by the staged body.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dist/device_communicator.h"
#include "tests/dist/world.h"
#include "tests/support/cuda_device.h"

namespace music::test {

using NamedCommunicator =
    std::pair<std::string, std::unique_ptr<dist::Communicator>>;

inline std::vector<NamedCommunicator> device_communicators() {
  std::vector<NamedCommunicator> all;
  all.emplace_back("staged", dist::make_staged_communicator(world()));
#ifdef MUSIC_EMULATED
  const bool nccl = dist::have_nccl() && world().size() > 1;
#else
  const bool nccl = dist::have_nccl() && world().size() == 1;
#endif
  if (nccl) all.emplace_back("nccl", dist::make_nccl_communicator(world()));
  return all;
}

// True when there is a device, which it selects.
inline bool select_device() {
  if (!have_device()) return false;
  cuda::select_device(0);
  return true;
}

}  // namespace music::test
