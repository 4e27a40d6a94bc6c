// VICReg and Barlow Twins over column slabs on GPUs, held to the reference in
// double. Run with 1 to 4 processes.
#include <doctest/doctest.h>

#include "tests/dist/device_world.h"
#include "tests/dist/view_losses.h"

namespace {

using namespace music;
using namespace music::test;

template <typename Spec>
void check(const Spec& spec, const ViewCase& c, std::int64_t panel = 0) {
  CAPTURE(c.n);
  CAPTURE(c.units);
  CAPTURE(panel);
  for (const auto& [name, comm] : device_communicators())
    for (const DType codes : {DType::kF32, DType::kF16}) {
      CAPTURE(name);
      CAPTURE(name_of(codes));
      ViewLossPlace at{Device::kCuda, {}, codes};
      if (panel > 0) at.widths = {panel, panel};
      check_shared(spec, c, at, *comm, gpu_bounds(spec, codes));
    }
}

template <typename Spec>
void check_bits(const Spec& spec) {
  const auto z = ViewCase{11, 50}.z();
  for (const auto& [name, comm] : device_communicators()) {
    CAPTURE(name);
    const ViewLossPlace at{Device::kCuda, {}, DType::kF16,
                           cuda::PanelWidths{24, 24}};
    const auto a = run_shared(spec, z, 50, at, *comm);
    const auto b = run_shared(spec, z, 50, at, *comm);
    CHECK(a.dz == b.dz);
    CHECK(a.terms == b.terms);
  }
}

TEST_SUITE("cuda_view_losses") {
  TEST_CASE("values worked out apart") {
    if (!select_device()) return;
    for (const auto& [name, comm] : device_communicators())
      check_goldens({Device::kCuda}, *comm);
  }

  TEST_CASE("the loss of all processes is that of the whole batch") {
    if (!select_device()) return;
    for (const auto& c : shared_cases()) {
      check(VicregSpec{}, c);
      check(BarlowTwinsSpec{}, c);
    }
  }

  TEST_CASE("in panels of any width") {
    on_device([] {
      for (const std::int64_t panel : {8, 16, 24, 56, 64}) {
        check(VicregSpec{}, {10, 57}, panel);
        check(BarlowTwinsSpec{}, {10, 57}, panel);
      }
    });
  }

  TEST_CASE("under every option") {
    if (!select_device()) return;
    for (const auto& spec : vicreg_specs()) check(spec, {8, 40}, 16);
    for (const auto& spec : barlow_twins_specs()) check(spec, {8, 40}, 16);
  }

  TEST_CASE("memory falls with the number of processes") {
    if (!select_device()) return;
    // As on the CPU, and what is exchanged; fp16 codes besides. Panels: codes,
    // gradients and this rank's, and blocks of the matrix.
    for (const int ranks : {2, 4, 8, 16, 32}) {
      CAPTURE(ranks);
      CHECK(shared_workspace(Device::kCuda, ranks, [](auto& r, auto batch) {
              return cuda::make_vicreg(r, {}, batch, DType::kF16);
            }) <= 5.1 * 64 / ranks + 56);
      CHECK(shared_workspace(Device::kCuda, ranks, [](auto& r, auto batch) {
              return cuda::make_barlow_twins(r, {}, batch, DType::kF16);
            }) <= 5.6 * 64 / ranks + 48 + 32.0 / ranks + 50);
    }
  }

  TEST_CASE("two runs give the same bits") {
    if (!select_device()) return;
    check_bits(VicregSpec{});
    check_bits(BarlowTwinsSpec{});
  }
}

}  // namespace
