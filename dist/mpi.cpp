// Host tensors over MPI.
//
// Every exchange is a non-blocking collective of MPI with at most one more
// behind it: a sum gathers the ranks' parts, adds them here in rank order, and
// gives the result out. Second halves start in the order of the first ones, on
// a communicator of their own, so all ranks issue the same calls in the same
// order, whenever they poll.

#include <mpi.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <vector>

#include "dist/communicator.h"
#include "engine/core/buffer.h"

namespace music::dist {
namespace {

// Sums up to this many bytes, of all ranks together, are formed on every rank.
constexpr std::size_t kSmall = 256 << 10;

void check(int result, const char* what) {
  if (result == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(result, text, &length);
  throw error(ExitCode::kPeerLost, "[mpi] {}: {}", what,
              std::string(text, static_cast<std::size_t>(length)));
}

MPI_Datatype type_of(DType dtype) {
  switch (dtype) {
    case DType::kF64: return MPI_DOUBLE;
    case DType::kF32: return MPI_FLOAT;
    case DType::kI64: return MPI_INT64_T;
    case DType::kI32: return MPI_INT32_T;
    case DType::kF16:
    case DType::kBF16: return MPI_UINT16_T;  // moved, never reduced
    case DType::kU8:
    case DType::kBool: return MPI_UINT8_T;
  }
  return MPI_DATATYPE_NULL;
}

int to_int(std::int64_t n) {
  MUSIC_CHECK(n <= INT_MAX, "[mpi] a message of {} elements, expected below "
              "2^31", n);
  return static_cast<int>(n);
}

// Counts and displacements as MPI wants them, alive until the request is done.
struct Layout {
  std::vector<int> counts, starts;
  std::int64_t total = 0;
  explicit Layout(std::span<const std::int64_t> parts = {}) {
    for (std::int64_t n : parts) {
      counts.push_back(to_int(n));
      starts.push_back(to_int(total));
      total += n;
    }
  }
};

// n elements in nearly equal parts.
std::vector<std::int64_t> equal_parts(std::int64_t n, int parts) {
  std::vector<std::int64_t> counts;
  for (std::int64_t i = 0; i < parts; ++i)
    counts.push_back(n * (i + 1) / parts - n * i / parts);
  return counts;
}

// out = sum of `ranks` vectors of n, in double, in their order.
template <typename T>
void sum_parts(const T* parts, int ranks, std::int64_t n, T* out) {
  constexpr std::int64_t kBlock = 1024;
#pragma omp parallel for schedule(static) if (n > 64 * kBlock)
  for (std::int64_t begin = 0; begin < n; begin += kBlock) {
    const std::int64_t size = std::min(kBlock, n - begin);
    double sum[kBlock] = {};
    for (int r = 0; r < ranks; ++r) {
      const T* part = parts + r * n + begin;
#pragma omp simd
      for (std::int64_t i = 0; i < size; ++i)
        sum[i] += static_cast<double>(part[i]);
    }
    for (std::int64_t i = 0; i < size; ++i)
      out[begin + i] = static_cast<T>(sum[i]);
  }
}

void sum_parts(const void* parts, int ranks, const Tensor& out) {
  if (out.dtype == DType::kF32)
    sum_parts(static_cast<const float*>(parts), ranks, out.elements(),
              out.as<float>());
  else
    sum_parts(static_cast<const double*>(parts), ranks, out.elements(),
              out.as<double>());
}

// `count` elements of t from `start` on.
Tensor part(const Tensor& t, std::int64_t start, std::int64_t count) {
  return {static_cast<std::byte*>(t.data) +
              static_cast<std::size_t>(start) * size_of(t.dtype),
          Shape{count}, t.dtype};
}

struct Operation {
  std::uint64_t number = 0;
  MPI_Request request = MPI_REQUEST_NULL;
  std::function<void(Operation&)> then;  // the second half, once
  Layout send, receive;
  Buffer scratch;
};

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator() : Communicator(find_place()) {
    for (MPI_Comm* c : {&now_[0], &now_[1], &later_[0], &later_[1], &side_}) {
      check(MPI_Comm_dup(MPI_COMM_WORLD, c), "MPI_Comm_dup");
      check(MPI_Comm_set_errhandler(*c, MPI_ERRORS_RETURN),
            "MPI_Comm_set_errhandler");
    }
  }
  ~MpiCommunicator() override {
    // Unwinding: the others may wait for this process elsewhere, and a
    // collective farewell would hang. The launcher ends a job of which one
    // process went without it.
    if (std::uncaught_exceptions() == 0) MPI_Finalize();
  }

  void poll() override {
    for (Operation& op : pending_) {
      int done = 0;
      check(MPI_Test(&op.request, &done, MPI_STATUS_IGNORE), "MPI_Test");
      if (!op.then) {
        if (done) completed(op.number);
        continue;
      }
      if (!done) break;  // second halves start in order
      second_half(op);
    }
  }

  void abort(ExitCode code) override {
    MPI_Abort(MPI_COMM_WORLD, static_cast<int>(code));
    std::_Exit(static_cast<int>(code));
  }

  void exchange(std::span<const std::int64_t> mine,
                std::span<std::int64_t> all) override {
    const int n = to_int(static_cast<std::int64_t>(mine.size()));
    check(MPI_Allgather(mine.data(), n, MPI_INT64_T, all.data(), n, MPI_INT64_T,
                        side_), "MPI_Allgather");
  }

 private:
  using Kind = Collective::Kind;

  static Place find_place() {
    Place place;
    MPI_Comm local;
    MPI_Comm_rank(MPI_COMM_WORLD, &place.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &place.size);
    check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, place.rank,
                              MPI_INFO_NULL, &local), "MPI_Comm_split_type");
    MPI_Comm_rank(local, &place.local_rank);
    MPI_Comm_size(local, &place.local_size);
    MPI_Comm_free(&local);
    return place;
  }

  void do_run(const Collective& c, void*) override {
    Operation op;
    begin(c, now_, op);
    finish(op);
  }
  void do_start(const Collective& c, std::uint64_t number, void*) override {
    Operation& op = pending_.emplace_back();
    op.number = number;
    begin(c, later_, op);
  }
  void do_wait(std::uint64_t number, void*) override {
    for (auto op = pending_.begin(); op != pending_.end(); ++op) {
      if (op->number == number) {
        finish(*op);
        pending_.erase(op);
        return;
      }
      if (!op->then) continue;
      complete(op->request);
      second_half(*op);
    }
    MUSIC_CHECK(false, "[mpi] ticket {} was never given or waited for twice",
                number);
  }

  static void complete(MPI_Request& request) {
    check(MPI_Wait(&request, MPI_STATUS_IGNORE), "MPI_Wait");
  }
  static void second_half(Operation& op) {
    const auto then = std::move(op.then);
    op.then = nullptr;
    then(op);
  }
  void finish(Operation& op) {
    complete(op.request);
    if (op.then) {
      second_half(op);
      complete(op.request);
    }
    if (op.scratch.bytes() > 0) free_.push_back(std::move(op.scratch));
  }

  // A block that an earlier operation left, or a new one.
  Buffer take(std::size_t bytes) {
    auto best = free_.end();
    for (auto it = free_.begin(); it != free_.end(); ++it)
      if (it->bytes() >= bytes &&
          (best == free_.end() || it->bytes() < best->bytes()))
        best = it;
    if (best == free_.end()) return Buffer(bytes);
    Buffer block = std::move(*best);
    free_.erase(best);
    return block;
  }

  void begin(const Collective& c, const MPI_Comm (&on)[2], Operation& op) {
    const MPI_Datatype type = type_of(c.in.dtype);
    switch (c.kind) {
      case Kind::kBarrier:
        check(MPI_Ibarrier(on[0], &op.request), "MPI_Ibarrier");
        break;
      case Kind::kBroadcast:
        check(MPI_Ibcast(c.out.data, to_int(c.out.elements()), type, c.root,
                         on[0], &op.request), "MPI_Ibcast");
        break;
      case Kind::kAllGather: {
        op.receive = Layout(c.receive);
        const Tensor own = part(c.out, op.receive.starts[at()], c.in.elements());
        gather(c.in.data == own.data ? MPI_IN_PLACE : c.in.data, c.out, on[0],
               op);
        break;
      }
      case Kind::kAllToAll:
        op.send = Layout(c.send);
        op.receive = Layout(c.receive);
        scatter(c.in, c.out.data, on[0], op);
        break;
      case Kind::kReduceScatter:
        op.send = Layout(c.send);
        sum_own_part(c.in, c.out, on[0], op);
        break;
      case Kind::kAllReduce: all_reduce(c, on, op); break;
    }
  }

  void all_reduce(const Collective& c, const MPI_Comm (&on)[2], Operation& op) {
    if (c.reduction == Reduction::kMax || c.in.dtype == DType::kI64) {
      check(MPI_Iallreduce(c.in.data == c.out.data ? MPI_IN_PLACE : c.in.data,
                           c.out.data, to_int(c.in.elements()),
                           type_of(c.in.dtype),
                           c.reduction == Reduction::kMax ? MPI_MAX : MPI_SUM,
                           on[0], &op.request), "MPI_Iallreduce");
      return;
    }
    const Tensor out = c.out;
    const std::size_t all = c.in.bytes() * static_cast<std::size_t>(size());
    if (all <= kSmall) {
      op.scratch = take(all);
      op.receive = Layout(std::vector<std::int64_t>(
          static_cast<std::size_t>(size()), c.in.elements()));
      const Tensor parts{op.scratch.data(), Shape{op.receive.total},
                         c.in.dtype};
      gather(c.in.data, parts, on[0], op);
      op.then = [this, out](Operation& o) {
        sum_parts(o.scratch.data(), size(), out);
      };
      return;
    }
    const auto parts = equal_parts(c.in.elements(), size());
    op.send = Layout(parts);
    const Tensor own = part(out, op.send.starts[at()], parts[at()]);
    sum_own_part(c.in, own, on[0], op);
    op.then = [this, out, own, next = on[1]](Operation& o) {
      sum_parts(o.scratch.data(), size(), own);
      o.receive = o.send;
      gather(MPI_IN_PLACE, out, next, o);
    };
  }

  // own = sum over the ranks of their part of mine, cut by op.send.
  void sum_own_part(const Tensor& in, const Tensor& own, MPI_Comm on,
                    Operation& op) {
    op.scratch = take(own.bytes() * static_cast<std::size_t>(size()));
    op.receive = Layout(std::vector<std::int64_t>(
        static_cast<std::size_t>(size()), own.elements()));
    scatter(in, op.scratch.data(), on, op);
    op.then = [this, own](Operation& o) {
      sum_parts(o.scratch.data(), size(), own);
    };
  }

  void gather(const void* in, const Tensor& out, MPI_Comm on, Operation& op) {
    const MPI_Datatype type = type_of(out.dtype);
    check(MPI_Iallgatherv(in, op.receive.counts[at()], type, out.data,
                          op.receive.counts.data(), op.receive.starts.data(),
                          type, on, &op.request), "MPI_Iallgatherv");
  }
  void scatter(const Tensor& in, void* out, MPI_Comm on, Operation& op) {
    const MPI_Datatype type = type_of(in.dtype);
    // Nothing to send and nothing to receive may lie at one address, which Open
    // MPI takes for an exchange in place, and waits for messages without end.
    static double nothing[2];
    const void* from = op.send.total == 0 ? &nothing[0] : in.data;
    if (op.receive.total == 0) out = &nothing[1];
    check(MPI_Ialltoallv(from, op.send.counts.data(), op.send.starts.data(),
                         type, out, op.receive.counts.data(),
                         op.receive.starts.data(), type, on, &op.request),
          "MPI_Ialltoallv");
  }
  std::size_t at() const { return static_cast<std::size_t>(rank()); }

  // For run() and start(); the second of each for second halves.
  MPI_Comm now_[2], later_[2], side_;
  std::deque<Operation> pending_;
  std::vector<Buffer> free_;
};

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator() {
  int initialised = 0;
  MPI_Initialized(&initialised);
  MUSIC_CHECK(!initialised, "[mpi] one communicator a process");
  int provided = 0;
  check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided),
        "MPI_Init_thread");
  MUSIC_CHECK(provided >= MPI_THREAD_FUNNELED,
              "[mpi] this library allows no threads");
  return std::make_unique<MpiCommunicator>();
}

}  // namespace music::dist
