#pragma once
// Processes that train one model together. One process is a communicator of
// size 1, never a special case.
//
// All ranks call the same collectives in the same order; run() and start()
// count together. Sums of floating-point numbers in host memory are formed in
// double, in rank order, and rounded once: their bits depend on the number of
// processes, not on the MPI library, the message size or time.
//
// Tensors live where the communicator's body expects them: host memory for
// local and MPI (stream null), device memory for the ones of
// device_communicator.h, whose work is put on `stream`. A failed peer throws
// ExitCode::kPeerLost.

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "dist/activity.h"
#include "dist/timeline.h"
#include "engine/core/tensor.h"

namespace music::dist {

enum class Reduction { kSum, kMax };

// What is to be exchanged. `counts` are elements a rank, in rank order, equal
// on all ranks unless said otherwise; they are copied by start().
struct Collective {
  enum class Kind {
    kAllReduce, kAllGather, kReduceScatter, kAllToAll, kBroadcast, kBarrier
  };
  Kind kind = Kind::kBarrier;
  Tensor in, out;
  Reduction reduction = Reduction::kSum;
  std::span<const std::int64_t> send, receive;
  int root = 0;

  // out = reduction of `in` over the ranks. f32, f64, i64; out may be in.
  static Collective all_reduce(const Tensor& in, const Tensor& out,
                               Reduction reduction = Reduction::kSum);
  // out = the parts of all ranks, one after the other; rank r gives counts[r]
  // elements. Any dtype; `in` may be its own place in `out`.
  static Collective all_gather(const Tensor& in, const Tensor& out,
                               std::span<const std::int64_t> counts);
  // `in`, cut into parts of counts[r] elements, is summed over the ranks; rank
  // r gets part r. f32, f64.
  static Collective reduce_scatter(const Tensor& in, const Tensor& out,
                                   std::span<const std::int64_t> counts);
  // `in` holds send[r] elements for each rank r, `out` receives receive[r] from
  // each. send[s] of rank r equals receive[r] of rank s. Any dtype.
  static Collective all_to_all(const Tensor& in,
                               std::span<const std::int64_t> send,
                               const Tensor& out,
                               std::span<const std::int64_t> receive);
  static Collective broadcast(const Tensor& data, int root = 0);

  const char* name() const;
  std::size_t bytes() const;  // of the larger of in and out
};

// A started collective; its tensors must stay until it was waited for.
struct Ticket {
  std::uint64_t number = 0;  // 0: nothing to wait for
};

class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;

  int rank() const { return place_.rank; }
  int size() const { return place_.size; }
  // Among the processes of this machine.
  int local_rank() const { return place_.local_rank; }
  int local_size() const { return place_.local_size; }

  // Blocking on the CPU; ordered on `stream` on a device.
  void run(const Collective& c, void* stream = nullptr);
  // In the background, in the order of starts. poll() moves started work on,
  // where the body has no thread or device of its own that does, and throws
  // when a peer was lost.
  Ticket start(const Collective& c, void* stream = nullptr);
  // Until the result is there; on a device, work put on `stream` later sees it.
  void wait(Ticket ticket, void* stream = nullptr);
  virtual void poll() {}

  void all_reduce(const Tensor& data, Reduction reduction = Reduction::kSum,
                  void* stream = nullptr) {
    run(Collective::all_reduce(data, data, reduction), stream);
  }
  void broadcast(const Tensor& data, int root = 0, void* stream = nullptr) {
    run(Collective::broadcast(data, root), stream);
  }
  void barrier() { run(Collective()); }

  // Whether run(), start() and wait() may be recorded into a captured graph.
  virtual bool capturable() const { return true; }

  // all[r] = mine of rank r: numbers in host memory whatever the body, apart
  // from all other traffic and not counted.
  virtual void exchange(std::span<const std::int64_t> mine,
                        std::span<std::int64_t> all) = 0;

  // Ends the processes of all ranks with this exit code.
  [[noreturn]] virtual void abort(ExitCode code) = 0;

  Activity& activity() { return *activity_; }
  // Every collective is first compared with the other ranks': one that differs
  // throws on all ranks and names them. Costs a small message each. On in
  // debug builds and with MUSIC_CHECK_COLLECTIVES=1.
  void check_collectives(bool on) { check_ = on; }
  // Where collectives are recorded from now on; null: nowhere.
  void record(Timeline* timeline) { timeline_ = timeline; }

 protected:
  struct Place {
    int rank = 0, size = 1, local_rank = 0, local_size = 1;
  };
  explicit Communicator(const Place& place);
  // The same ranks by other means: it has part in `host`'s activity.
  explicit Communicator(Communicator& host);

  virtual void do_run(const Collective& c, void* stream) = 0;
  // `number` is the ticket's.
  virtual void do_start(const Collective& c, std::uint64_t number,
                        void* stream) = 0;
  virtual void do_wait(std::uint64_t number, void* stream) = 0;
  // For bodies that see that started work is done before it is waited for.
  void completed(std::uint64_t number) {
    if (timeline_) timeline_->completed(number);
  }

 private:
  std::uint64_t begin(const Collective& c);
  void compare(const Collective& c, std::uint64_t sequence);

  Place place_;
  Activity own_activity_;
  Activity* activity_ = &own_activity_;
  bool check_ = false;
  Timeline* timeline_ = nullptr;
};

// The communicator of a process on its own.
std::unique_ptr<Communicator> make_local_communicator();

// Of the processes that mpirun or srun started together: initialises MPI, the
// destructor finalises it. At most one a process. In a build without MPI:
// throws ExitCode::kUsage.
std::unique_ptr<Communicator> make_mpi_communicator();

}  // namespace music::dist
