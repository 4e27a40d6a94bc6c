// What the loss tells plans is what its kernel does.
#include "music/loss/joint_entropy_price.h"

#include <doctest/doctest.h>

#include "tests/support/loss_exchanges.h"

namespace {

using namespace music;
using test::check_exchanges;

TEST_SUITE("joint_entropy_price") {
  TEST_CASE("exchanges and waits, told and made") {
    const Segments equal = Segments::equal(48, 8);
    JointEntropySpec no_gradient, local;
    no_gradient.oe = 0;
    local.scope = LossScope::kLocal;
    for (const int ranks : {2, 3, 5}) {
      CAPTURE(ranks);
      CHECK(check_exchanges(Device::kCpu, ranks, 17, equal, {}) == 9);
      CHECK(check_exchanges(Device::kCpu, ranks, 17, equal, no_gradient) == 6);
      CHECK(check_exchanges(Device::kCpu, ranks, 17, equal, local) == 2);
      CHECK(check_exchanges(Device::kCpu, ranks, 17, Segments::equal(48, 48),
                            {}) == 2);
      // Slabs of unequal width, and more ranks than segments.
      CHECK(check_exchanges(Device::kCpu, ranks, 17,
                            Segments::uneven({5, 30, 2, 11}), {}) == 9);
    }
  }

  TEST_CASE("three panels go round") {
    JointEntropySpec no_gradient;
    no_gradient.oe = 0;
    const Segments segments = Segments::equal(800, 50);
    CHECK(check_exchanges(Device::kCpu, 2, 3000, segments, {}) == 17);
    CHECK(check_exchanges(Device::kCpu, 2, 3000, segments, no_gradient) == 10);
  }
}

}  // namespace
