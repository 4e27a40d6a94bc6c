// VICReg and Barlow Twins over column slabs: any number of processes gives the
// loss and the gradient of the whole batch.
#include <doctest/doctest.h>

#include "music/loss/cpu/tile_slabs.h"
#include "tests/dist/view_losses.h"

namespace {

using namespace music;
using namespace music::test;

constexpr ViewLossBounds kBounds{3e-6, 1e-5};

template <typename Spec>
void check(const Spec& spec, const ViewCase& c) {
  CAPTURE(c.n);
  CAPTURE(c.units);
  check_shared(spec, c, {}, world(), kBounds);
}

// Against one process that has all samples.
template <typename Spec>
void check_alone(const Spec& spec, const ViewCase& c) {
  REQUIRE(cpu::panel_units(c.n, c.units) < c.units);
  const auto z = c.z();
  const auto one = run_loss(spec, z, c.units);
  const auto many = run_shared(spec, z, c.units, {}, world());
  for (std::size_t t = 0; t < one.terms.size(); ++t)
    CHECK(near(many.terms[t], one.terms[t], 1e-6));
  CHECK(within(norm_relative(many.dz, shard_views(one.dz, c.units)), 5e-6));
  CHECK(within(max_relative(many.deviation, one.deviation), 1e-6));
}

template <typename Spec>
void check_bits(const Spec& spec) {
  const auto z = ViewCase{33, 200}.z();
  const auto a = run_shared(spec, z, 200, {}, world());
  const auto b = run_shared(spec, z, 200, {}, world());
  CHECK(a.dz == b.dz);
  CHECK(a.terms == b.terms);
  double least[] = {-a.terms.back()}, most[] = {a.terms.back()};
  world().all_reduce({least, Shape{1}, DType::kF64}, dist::Reduction::kMax);
  world().all_reduce({most, Shape{1}, DType::kF64}, dist::Reduction::kMax);
  CHECK(-least[0] == most[0]);
}

TEST_SUITE("view_losses") {
  TEST_CASE("values worked out apart") { check_goldens({}, world()); }

  TEST_CASE("the loss of all processes is that of the whole batch") {
    for (const auto& c : shared_cases()) {
      check(VicregSpec{}, c);
      check(BarlowTwinsSpec{}, c);
    }
  }

  TEST_CASE("under every option") {
    const ViewCase c{10, 50};
    for (const auto& spec : vicreg_specs()) check(spec, c);
    for (const auto& spec : barlow_twins_specs()) check(spec, c);
  }

  TEST_CASE("in several panels") {
    check_alone(VicregSpec{}, {2700, 800});
    check_alone(BarlowTwinsSpec{}, {2700, 800});
  }

  TEST_CASE("the same bits on every run; the same terms on every rank") {
    check_bits(VicregSpec{});
    check_bits(BarlowTwinsSpec{});
  }

  TEST_CASE("memory falls with the number of processes") {
    // Shared out, in matrices [N,D] of 64 MiB: both views without their means,
    // a slab of one and of its gradient; and panels of 4 MiB.
    for (const int ranks : {2, 4, 8, 16, 32}) {
      CAPTURE(ranks);
      CHECK(shared_workspace(Device::kCpu, ranks, [](auto& r, auto batch) {
              return cpu::make_vicreg(r, {}, batch, DType::kF32);
            }) <= 4.1 * 64 / ranks + 12);
      CHECK(shared_workspace(Device::kCpu, ranks, [](auto& r, auto batch) {
              return cpu::make_barlow_twins(r, {}, batch, DType::kF32);
            }) <= 4.1 * 64 / ranks + 24);
    }
  }

  TEST_CASE("each process's own statistics are another loss") {
    const auto z = ViewCase{12, 30}.z();
    const auto whole = reference_of(VicregSpec{}, {z.begin(), z.end()}, 30);
    const auto own = run_loss(VicregSpec{}, shard_views(z, 30), 30);
    if (world().size() > 1)
      CHECK(norm_relative(own.dz, shard_views(whole.dz, 30)) > 0.05);
  }
}

}  // namespace
