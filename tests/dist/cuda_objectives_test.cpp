// The same on GPUs: objectives across samples with rows and sums exchanged by
// the communicators of a device.
#include <doctest/doctest.h>

#include "tests/dist/device_world.h"
#include "tests/dist/objective_problem.h"

namespace {

using namespace music;
using namespace music::test;

TEST_SUITE("cuda_objectives") {
  TEST_CASE("gather_rows: what it exchanges is what it tells plans") {
    on_device([] { check_gathered_exchanges(Device::kCuda); });
  }

  TEST_CASE("SimCLR and SwAV of all processes are those of one") {
    on_device([] {
      for (const auto& [name, comm] : device_communicators()) {
        CAPTURE(name);
        const EvaluateOn on{comm->capturable() ? 2 : 1, Device::kCuda};
        check_simclr(*comm, on);
        check_swav(*comm, on);
      }
    });
  }
}

}  // namespace
