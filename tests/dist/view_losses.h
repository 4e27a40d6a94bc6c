#pragma once
// The losses of VICReg and Barlow Twins of a batch that processes share, held
// to the reference of the whole batch.

#include <algorithm>
#include <cstdlib>
#include <span>
#include <vector>

#include "engine/core/shard.h"

#include "tests/dist/world.h"
#include "tests/support/view_loss_run.h"

namespace music::test {

// The rows of both views of this rank's samples.
template <typename T>
std::vector<T> shard_views(const std::vector<T>& z, std::int64_t units) {
  const auto half = z.begin() + static_cast<std::ptrdiff_t>(z.size() / 2);
  std::vector<T> mine = shard_rows(std::vector<T>(z.begin(), half), units);
  const auto second = shard_rows(std::vector<T>(half, z.end()), units);
  mine.insert(mine.end(), second.begin(), second.end());
  return mine;
}

template <typename Spec>
ViewLossResult run_shared(const Spec& spec, const std::vector<float>& z,
                          std::int64_t units, ViewLossPlace at,
                          dist::Communicator& communicator) {
  at.batch = {&communicator,
              static_cast<std::int64_t>(z.size()) / units / 2};
  return run_loss(spec, shard_views(z, units), units, at);
}

template <typename Spec>
void check_shared(const Spec& spec, const ViewCase& c, const ViewLossPlace& at,
                  dist::Communicator& communicator,
                  const ViewLossBounds& bounds) {
  const auto z = c.z();
  const auto e = reference_of(spec, {z.begin(), z.end()}, c.units);
  check_view_loss(run_shared(spec, z, c.units, at, communicator), e,
                  shard_views(e.dz, c.units), bounds.of(c),
                  fmt::format("N {} D {} scale {} mean {} common {} codes {}",
                              c.n, c.units, c.scale, c.mean, c.common,
                              name_of(at.codes)));
}

// Shards that differ by a sample, few units, slabs that are empty or end
// anywhere, several panels.
inline std::vector<ViewCase> shared_cases() {
  return {{4, 6},  {7, 1},   {12, 48}, {17, 35},         {9, 100},
          {5, 17}, {33, 40}, {8, 64, 0.1, 2, 0.5}};
}

// A rank of a job that does not exist, to ask what it would need.
class Pretended final : public dist::Communicator {
 public:
  Pretended(int rank, int size) : Communicator({rank, size, rank, size}) {}
  void abort(ExitCode) override { std::abort(); }
  void exchange(std::span<const std::int64_t>,
                std::span<std::int64_t>) override {}

 private:
  void do_run(const dist::Collective&, void*) override {}
  void do_start(const dist::Collective&, std::uint64_t, void*) override {}
  void do_wait(std::uint64_t, void*) override {}
};

// The largest workspace of the ranks that share 2048 samples of D 8192, in MiB.
// make(request, batch) is a kernel's factory.
template <typename Make>
double shared_workspace(Device device, int ranks, Make&& make) {
  std::size_t most = 0;
  for (int r = 0; r < ranks; ++r) {
    Pretended job(r, ranks);
    KernelRequest request{device, {}, {}};
    request.in.emplace_back().shape = Shape{2 * shard_size(2048, r, ranks), 8192};
    most = std::max(
        most, make(request, SharedBatch{&job, 2048})->workspace_bytes());
  }
  return static_cast<double>(most) / (1 << 20);
}

// A gradient that only a mean over the processes' own losses explains.
template <typename Spec>
void check_golden(const Spec& spec, double total, double first,
                  const ViewLossPlace& at, dist::Communicator& communicator) {
  const auto z = golden_views();
  const auto r = run_shared(spec, {z.begin(), z.end()}, 6, at, communicator);
  CHECK(near(r.total, total, 2e-6));
  if (communicator.rank() == 0) CHECK(near(r.dz[0], first, 1e-5));
}
inline void check_goldens(const ViewLossPlace& at,
                          dist::Communicator& communicator) {
  check_golden(VicregSpec{}, 9.6971929179, .0064239158, at, communicator);
  check_golden(BarlowTwinsSpec{}, .1187273204, -.1410354616, at, communicator);
}

}  // namespace music::test
