#include "dist/communicator.h"

#include <cstdlib>
#include <numeric>
#include <string_view>
#include <vector>

namespace music::dist {
namespace {

std::int64_t total(std::span<const std::int64_t> counts) {
  return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}

// What must be the same on all ranks.
struct Header {
  std::int64_t sequence = 0, kind = 0, dtype = 0, reduction = 0, elements = 0,
               root = 0;
};
constexpr std::size_t kFields = sizeof(Header) / sizeof(std::int64_t);

constexpr const char* kNames[] = {"all_reduce", "all_gather", "reduce_scatter",
                                  "all_to_all", "broadcast",  "barrier"};

std::string describe(const Header& h) {
  return fmt::format("{} of {} {} (number {})", kNames[h.kind], h.elements,
                     name_of(static_cast<DType>(h.dtype)), h.sequence);
}

bool check_by_default() {
#ifndef NDEBUG
  return true;
#else
  const char* v = std::getenv("MUSIC_CHECK_COLLECTIVES");
  return v && std::string_view(v) == "1";
#endif
}

void check_reducible(const Collective& c, bool integers) {
  const DType d = c.in.dtype;
  MUSIC_CHECK(d == DType::kF32 || d == DType::kF64 ||
                  (integers && d == DType::kI64),
              "[dist] {} of {}, expected F32, F64{}", c.name(), name_of(d),
              integers ? " or I64" : "");
}

// Everything that can be wrong on one rank alone.
void check(const Collective& c, int rank, int size) {
  using Kind = Collective::Kind;
  const auto expect = [&](const char* what, std::int64_t found,
                          std::int64_t expected) {
    MUSIC_CHECK(found == expected, "[dist] {}: {} is {}, expected {}", c.name(),
                what, found, expected);
  };
  const auto ranks = [&](std::span<const std::int64_t> counts) {
    expect("number of counts", static_cast<std::int64_t>(counts.size()), size);
    for (std::int64_t n : counts)
      MUSIC_CHECK(n >= 0, "[dist] {}: count {} is negative", c.name(), n);
  };
  const auto r = static_cast<std::size_t>(rank);
  MUSIC_CHECK(c.in.dtype == c.out.dtype, "[dist] {} from {} to {}", c.name(),
              name_of(c.in.dtype), name_of(c.out.dtype));
  switch (c.kind) {
    case Kind::kAllReduce:
      check_reducible(c, true);
      expect("output", c.out.elements(), c.in.elements());
      break;
    case Kind::kAllGather:
      ranks(c.receive);
      expect("input", c.in.elements(), c.receive[r]);
      expect("output", c.out.elements(), total(c.receive));
      break;
    case Kind::kReduceScatter:
      check_reducible(c, false);
      ranks(c.send);
      expect("input", c.in.elements(), total(c.send));
      expect("output", c.out.elements(), c.send[r]);
      break;
    case Kind::kAllToAll:
      ranks(c.send);
      ranks(c.receive);
      expect("input", c.in.elements(), total(c.send));
      expect("output", c.out.elements(), total(c.receive));
      expect("part for itself", c.send[r], c.receive[r]);
      break;
    case Kind::kBroadcast:
      MUSIC_CHECK(c.root >= 0 && c.root < size, "[dist] root {} of {} ranks",
                  c.root, size);
      break;
    case Kind::kBarrier: break;
  }
}

}  // namespace

const char* Collective::name() const {
  return kNames[static_cast<int>(kind)];
}

std::size_t Collective::bytes() const {
  return kind == Kind::kBarrier ? 0 : std::max(in.bytes(), out.bytes());
}

Collective Collective::all_reduce(const Tensor& in, const Tensor& out,
                                  Reduction reduction) {
  return {Kind::kAllReduce, in, out, reduction, {}, {}, 0};
}
Collective Collective::all_gather(const Tensor& in, const Tensor& out,
                                  std::span<const std::int64_t> counts) {
  return {Kind::kAllGather, in, out, {}, {}, counts, 0};
}
Collective Collective::reduce_scatter(const Tensor& in, const Tensor& out,
                                      std::span<const std::int64_t> counts) {
  return {Kind::kReduceScatter, in, out, {}, counts, {}, 0};
}
Collective Collective::all_to_all(const Tensor& in,
                                  std::span<const std::int64_t> send,
                                  const Tensor& out,
                                  std::span<const std::int64_t> receive) {
  return {Kind::kAllToAll, in, out, {}, send, receive, 0};
}
Collective Collective::broadcast(const Tensor& data, int root) {
  return {Kind::kBroadcast, data, data, {}, {}, {}, root};
}

Communicator::Communicator(const Place& place)
    : place_(place), check_(check_by_default()) {}

Communicator::Communicator(Communicator& host)
    : place_(host.place_), activity_(host.activity_),
      check_(check_by_default()) {}

void Communicator::run(const Collective& c, void* stream) {
  const std::uint64_t sequence = begin(c);
  const Timeline::Scope scope(timeline_, Timeline::Lane::kCompute, c.name(),
                              "collective",
                              static_cast<std::int64_t>(c.bytes()));
  do_run(c, stream);
  activity_->end(sequence);
}

Ticket Communicator::start(const Collective& c, void* stream) {
  const Ticket ticket{begin(c)};
  if (timeline_) timeline_->started(ticket.number, c.name(), c.bytes());
  do_start(c, ticket.number, stream);
  return ticket;
}

void Communicator::wait(Ticket ticket, void* stream) {
  if (ticket.number == 0) return;
  const Timeline::Scope scope(timeline_, Timeline::Lane::kCompute, "wait",
                              "wait");
  do_wait(ticket.number, stream);
  activity_->end(ticket.number);
  completed(ticket.number);
}

std::uint64_t Communicator::begin(const Collective& c) {
  check(c, rank(), size());
  const std::uint64_t sequence = activity_->begin(c.name(), c.bytes());
  if (check_ && size() > 1) compare(c, sequence);
  return sequence;
}

void Communicator::compare(const Collective& c, std::uint64_t sequence) {
  using Kind = Collective::Kind;
  Header mine;
  mine.sequence = static_cast<std::int64_t>(sequence);
  mine.kind = static_cast<std::int64_t>(c.kind);
  mine.root = c.root;
  if (c.kind != Kind::kBarrier) {
    mine.dtype = static_cast<std::int64_t>(c.in.dtype);
    mine.reduction = static_cast<std::int64_t>(c.reduction);
    // The side whose size all ranks share. Of all_to_all none is.
    mine.elements = c.kind == Kind::kAllToAll    ? 0
                    : c.kind == Kind::kAllGather ? c.out.elements()
                                                 : c.in.elements();
  }
  const auto fields = [](const Header& h) {
    return std::span(reinterpret_cast<const std::int64_t*>(&h), kFields);
  };
  const auto ranks = static_cast<std::size_t>(size());
  std::vector<Header> all(ranks);
  exchange(fields(mine), {reinterpret_cast<std::int64_t*>(all.data()),
                          kFields * ranks});
  for (std::size_t r = 1; r < ranks; ++r)
    MUSIC_CHECK(std::equal(fields(all[0]).begin(), fields(all[0]).end(),
                           fields(all[r]).begin()),
                "[dist] ranks call different collectives: rank 0 {}, rank {} {}",
                describe(all[0]), r, describe(all[r]));
  // Counts: of all_to_all, what r sends s against what s expects of r.
  std::vector<std::int64_t> sent(c.send.begin(), c.send.end());
  std::vector<std::int64_t> expected(c.receive.begin(), c.receive.end());
  if (c.kind == Kind::kBarrier || c.kind == Kind::kBroadcast ||
      c.kind == Kind::kAllReduce) return;
  if (sent.empty()) sent = expected;
  if (expected.empty()) expected = sent;
  std::vector<std::int64_t> every(2 * ranks * ranks), both(sent);
  both.insert(both.end(), expected.begin(), expected.end());
  exchange(both, every);
  for (std::size_t r = 0; r < ranks; ++r)
    for (std::size_t s = 0; s < ranks; ++s) {
      const std::int64_t from_r = every[r * 2 * ranks + s];
      const bool matrix = c.kind == Kind::kAllToAll;
      const std::int64_t at_s =
          every[s * 2 * ranks + ranks + (matrix ? r : s)];
      MUSIC_CHECK(from_r == at_s,
                  "[dist] {} (number {}): rank {} has a part of {} elements "
                  "where rank {} has {}", c.name(), sequence, r, from_r, s,
                  at_s);
    }
}

}  // namespace music::dist
