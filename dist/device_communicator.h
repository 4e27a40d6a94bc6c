#pragma once
// Communicators of tensors in device memory. Both are made from the
// communicator of the same ranks in host memory, which must outlive them, by
// all ranks together, once each has selected its device.

#include <memory>

#include "dist/communicator.h"

namespace music::dist {

// NCCL, one device a process; its id goes round through `host`. run() is
// ordered on the caller's stream; start() runs beside it, on a stream and an
// NCCL communicator of its own. poll() asks NCCL for asynchronous errors. Sums
// are NCCL's: fp32 parts in fp32, the same bits again on the same machines. In
// a build without NCCL: throws ExitCode::kUsage.
std::unique_ptr<Communicator> make_nccl_communicator(Communicator& host);
bool have_nccl();

// Through host memory, by `host`: for processes that share a device, and where
// there is no NCCL. Waits for the stream in every call, so that it cannot be
// captured; start() is run(). Sums are those of `host`.
std::unique_ptr<Communicator> make_staged_communicator(Communicator& host);

}  // namespace music::dist
