#pragma once
// What nodes exchange, beside what they tell plans of it.

#include <fmt/ranges.h>

#include <concepts>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "dist/timetable.h"
#include "engine/core/shard.h"
#include "music/loss/shared_batch.h"
#include "tests/support/graph_run.h"
#include "tests/support/margin.h"

namespace music::test {

// One line a call: "run all_reduce 24", "start all_gather 96 #2", "wait #2".
struct ExchangeLog {
  std::vector<std::string> lines;
  int starts = 0;

  void run(dist::Collective::Kind kind, double bytes) {
    lines.push_back(fmt::format("run {} {}", name(kind), bytes));
  }
  int start(dist::Collective::Kind kind, double bytes) {
    lines.push_back(fmt::format("start {} {} #{}", name(kind), bytes, ++starts));
    return starts;
  }
  void wait(int number) { lines.push_back(fmt::format("wait #{}", number)); }

 private:
  static std::string name(dist::Collective::Kind kind) {
    dist::Collective c;
    c.kind = kind;
    return c.name();
  }
};

// One of several processes, of which the others do not exist: nothing arrives.
class LoggedCommunicator final : public dist::Communicator {
 public:
  LoggedCommunicator(int rank, int size) : Communicator({rank, size, 0, 1}) {
    check_collectives(false);
  }
  void abort(ExitCode code) override { std::_Exit(static_cast<int>(code)); }
  ExchangeLog log;

 private:
  void do_run(const dist::Collective& c, void*) override {
    log.run(c.kind, static_cast<double>(c.bytes()));
  }
  void do_start(const dist::Collective& c, std::uint64_t number,
                void*) override {
    started_[number] = log.start(c.kind, static_cast<double>(c.bytes()));
  }
  void do_wait(std::uint64_t number, void*) override {
    log.wait(started_.at(number));
  }
  void exchange(std::span<const std::int64_t>,
                std::span<std::int64_t>) override {}
  std::map<std::uint64_t, int> started_;
};

struct LoggedTimetable final : dist::Timetable {
  ExchangeLog log;
  double computed = 0;  // of the node's time

  void charge(Account account) override { CHECK(account == Account::kLoss); }
  void compute(double part, double whole) override { computed += part / whole; }
  dist::Ticket start(dist::Collective::Kind kind, double bytes) override {
    return {static_cast<std::uint64_t>(log.start(kind, bytes))};
  }
  void wait(dist::Ticket ticket) override {
    log.wait(static_cast<int>(ticket.number));
  }
  void run(dist::Collective::Kind kind, double bytes) override {
    log.run(kind, bytes);
  }
};

// Holds what the nodes that record(graph, z, batch) adds tell of their exchanges
// to those of a run, on each rank; returns the number of lines. z [2n,D] F32 of
// this rank's samples has a gradient.
template <std::invocable<Graph&, Value, const SharedBatch&> Record>
std::size_t check_exchanges(Device device, int ranks, std::int64_t samples,
                            std::int64_t units, Record&& record) {
  std::size_t lines = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    CAPTURE(rank);
    LoggedCommunicator communicator(rank, ranks);
    Parameters p;
    p.add("z", {2 * shard_size(samples, rank, ranks), units}, {});
    p.set_storage({.training = true, .device = device});
    p.allocate();
    Graph g(p);
    record(g, g.parameter(0), SharedBatch{&communicator, samples});
    LoggedTimetable told;
    double computing = 0;  // nodes that compute between their exchanges
    for (const Node& node : g.nodes()) {
      if (!node.exchanges) continue;
      if (node.work) ++computing;
      node.exchanges(told);
    }
    BoundExecutable run(std::move(g), p);
    communicator.log = {};
    run.run();
    CHECK(fmt::format("{}", fmt::join(told.log.lines, ", ")) ==
          fmt::format("{}", fmt::join(communicator.log.lines, ", ")));
    CHECK(near(told.computed, computing, 1e-12));
    lines = told.log.lines.size();
  }
  return lines;
}

}  // namespace music::test
