// Device tensors over NCCL.
//
// Two NCCL communicators: run() on the caller's stream must not queue behind
// buckets that start() has given to the other. Neither blocks: every call is
// followed until NCCL says how it ended, so that a peer that is lost becomes an
// error and not a hang.

#include <cuda_runtime.h>
#include <nccl.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <map>
#include <thread>
#include <vector>

#include "dist/device_communicator.h"
#include "engine/core/device_runtime.h"

namespace music::dist {
namespace {

// The processes of a job begin together; one that never comes is an error.
constexpr auto kPatience = std::chrono::minutes(5);
// Multiprocessors that background work may take from the kernels beside it.
constexpr int kBackgroundBlocks = 16;

[[noreturn]] void fail(ncclResult_t result, ncclComm_t comm, const char* what) {
  const char* detail = ncclGetLastError(comm);
  throw error(ExitCode::kPeerLost, "[nccl] {}: {}{}{}", what,
              ncclGetErrorString(result), detail && *detail ? ", " : "",
              detail ? detail : "");
}

// Until what was asked of `comm` has been done, or could not be.
void settle(ncclResult_t result, ncclComm_t comm, const char* what) {
  const auto begin = std::chrono::steady_clock::now();
  while (result == ncclInProgress) {
    if (ncclCommGetAsyncError(comm, &result) != ncclSuccess) break;
    if (result != ncclInProgress) break;
    if (std::chrono::steady_clock::now() - begin > kPatience)
      throw error(ExitCode::kPeerLost,
                  "[nccl] {}: not all processes answered within {} minutes",
                  what, kPatience.count());
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  if (result != ncclSuccess) fail(result, comm, what);
}

ncclDataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return ncclFloat64;
    case DType::kF32:
      return ncclFloat32;
    case DType::kF16:
      return ncclFloat16;
    case DType::kBF16:
      return ncclBfloat16;
    case DType::kI64:
      return ncclInt64;
    case DType::kI32:
      return ncclInt32;
    case DType::kU8:
    case DType::kBool:
      return ncclUint8;
  }
  return ncclUint8;
}

bool all_equal(std::span<const std::int64_t> counts) {
  return std::all_of(counts.begin(), counts.end(),
                     [&](std::int64_t n) { return n == counts[0]; });
}

class NcclCommunicator final : public Communicator {
 public:
  explicit NcclCommunicator(Communicator& host)
      : Communicator(host), host_(host) {
    ncclUniqueId id = {};
    if (rank() == 0) {
      const ncclResult_t result = ncclGetUniqueId(&id);
      if (result != ncclSuccess) fail(result, nullptr, "ncclGetUniqueId");
    }
    host.broadcast({&id, Shape{sizeof id}, DType::kU8});
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    const ncclResult_t formed =
        ncclCommInitRankConfig(&now_, size(), id, rank(), &config);
    settle(formed, now_, "ncclCommInitRankConfig");
    config.maxCTAs = kBackgroundBlocks;
    settle(ncclCommSplit(now_, 0, rank(), &later_, &config), now_,
           "ncclCommSplit");
    settle(ncclInProgress, later_, "ncclCommSplit");
  }

  ~NcclCommunicator() override {
    // Unwinding: the others may wait elsewhere, and a farewell would hang.
    for (ncclComm_t comm : {later_, now_}) {
      if (std::uncaught_exceptions() > 0) {
        ncclCommAbort(comm);
        continue;
      }
      ncclResult_t state = ncclCommFinalize(comm);
      while (state == ncclInProgress &&
             ncclCommGetAsyncError(comm, &state) == ncclSuccess)
        std::this_thread::sleep_for(std::chrono::microseconds(50));
      ncclCommDestroy(comm);
    }
  }

  void poll() override {
    for (ncclComm_t comm : {now_, later_}) {
      ncclResult_t state = ncclSuccess;
      ncclCommGetAsyncError(comm, &state);
      if (state != ncclSuccess && state != ncclInProgress)
        fail(state, comm, "a collective");
    }
  }

  void exchange(std::span<const std::int64_t> mine,
                std::span<std::int64_t> all) override {
    host_.exchange(mine, all);
  }
  void abort(ExitCode code) override { host_.abort(code); }

 private:
  using Kind = Collective::Kind;

  void do_run(const Collective& c, void* stream) override {
    if (c.kind == Kind::kBarrier) {
      cuda::synchronize(stream);
      host_.barrier();
      return;
    }
    issue(c, now_, static_cast<cudaStream_t>(stream));
  }
  void do_start(const Collective& c, std::uint64_t number,
                void* stream) override {
    // Waiting for an event takes a stream into a capture, and back out of it.
    cuda::Event& event = *(started_[number] = take_event());
    event.record(stream);
    event.wait_in(background_.get());
    issue(c, later_, static_cast<cudaStream_t>(background_.get()));
    event.record(background_.get());
  }
  void do_wait(std::uint64_t number, void* stream) override {
    const auto it = started_.find(number);
    MUSIC_CHECK(it != started_.end(),
                "[nccl] ticket {} was never given or waited for twice", number);
    it->second->wait_in(stream);
    free_.push_back(std::move(it->second));
    started_.erase(it);
  }

  void issue(const Collective& c, ncclComm_t comm, cudaStream_t stream) {
    const ncclDataType_t type = type_of(c.in.dtype);
    const auto count = static_cast<std::size_t>(c.in.elements());
    const ncclRedOp_t reduction =
        c.reduction == Reduction::kMax ? ncclMax : ncclSum;
    switch (c.kind) {
      case Kind::kBarrier:
        break;
      case Kind::kAllReduce:
        settle(ncclAllReduce(c.in.data, c.out.data, count, type, reduction,
                             comm, stream),
               comm, "ncclAllReduce");
        break;
      case Kind::kBroadcast:
        settle(ncclBroadcast(c.in.data, c.out.data, count, type, c.root, comm,
                             stream),
               comm, "ncclBroadcast");
        break;
      case Kind::kAllGather:
        if (all_equal(c.receive))
          return settle(
              ncclAllGather(c.in.data, c.out.data, count, type, comm, stream),
              comm, "ncclAllGather");
        in_parts(c.out, c.receive, comm, "ncclBroadcast",
                 [&](int r, void* part, std::size_t n) {
                   return ncclBroadcast(r == rank() ? c.in.data : part, part, n,
                                        type, r, comm, stream);
                 });
        break;
      case Kind::kReduceScatter:
        if (all_equal(c.send))
          return settle(
              ncclReduceScatter(c.in.data, c.out.data,
                                static_cast<std::size_t>(c.out.elements()),
                                type, ncclSum, comm, stream),
              comm, "ncclReduceScatter");
        in_parts(c.in, c.send, comm, "ncclReduce",
                 [&](int r, void* part, std::size_t n) {
                   return ncclReduce(part, r == rank() ? c.out.data : nullptr,
                                     n, type, ncclSum, r, comm, stream);
                 });
        break;
      case Kind::kAllToAll:
        group(comm, "ncclSend, ncclRecv", [&] {
          for_parts(c.in, c.send, [&](int r, void* part, std::size_t n) {
            return ncclSend(part, n, type, r, comm, stream);
          });
          for_parts(c.out, c.receive, [&](int r, void* part, std::size_t n) {
            return ncclRecv(part, n, type, r, comm, stream);
          });
        });
        break;
    }
  }

  // Calls fn(rank, pointer, elements) for the parts that are not empty.
  template <typename F>
  static void for_parts(const Tensor& all, std::span<const std::int64_t> counts,
                        F&& fn) {
    auto* part = static_cast<std::byte*>(all.data);
    for (std::size_t r = 0; r < counts.size(); ++r) {
      const auto n = static_cast<std::size_t>(counts[r]);
      if (n > 0) {
        const ncclResult_t result = fn(static_cast<int>(r), part, n);
        if (result != ncclSuccess && result != ncclInProgress)
          fail(result, nullptr, "a part of a group");
      }
      part += n * size_of(all.dtype);
    }
  }
  template <typename F>
  static void group(ncclComm_t comm, const char* what, F&& calls) {
    settle(ncclGroupStart(), comm, "ncclGroupStart");
    calls();
    settle(ncclGroupEnd(), comm, what);
  }
  template <typename F>
  static void in_parts(const Tensor& all, std::span<const std::int64_t> counts,
                       ncclComm_t comm, const char* what, F&& fn) {
    group(comm, what, [&] { for_parts(all, counts, fn); });
  }

  std::unique_ptr<cuda::Event> take_event() {
    if (free_.empty()) return std::make_unique<cuda::Event>();
    auto event = std::move(free_.back());
    free_.pop_back();
    return event;
  }

  Communicator& host_;
  ncclComm_t now_ = nullptr, later_ = nullptr;  // of run() and of start()
  cuda::Stream background_;
  std::map<std::uint64_t, std::unique_ptr<cuda::Event>> started_;
  std::vector<std::unique_ptr<cuda::Event>> free_;
};

}  // namespace

bool have_nccl() { return true; }

std::unique_ptr<Communicator> make_nccl_communicator(Communicator& host) {
  return std::make_unique<NcclCommunicator>(host);
}

}  // namespace music::dist
