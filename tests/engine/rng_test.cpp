#include "engine/core/rng.h"

#include <doctest/doctest.h>

#include <vector>

#include "tests/support/margin.h"

using namespace music;
using test::near;

TEST_SUITE("rng") {
  TEST_CASE("philox4x32-10 known answers (Random123 kat_vectors)") {
    CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) ==
          PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    CHECK(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) ==
          PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                     {0xa4093822, 0x299f31d0}) ==
          PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  }
  TEST_CASE("streams are pure functions of their coordinates") {
    Rng a(7, RngPurpose::kAugment, 1, 2, 3), b(7, RngPurpose::kAugment, 1, 2, 3);
    Rng other(7, RngPurpose::kAugment, 1, 2, 4);
    int same = 0;
    for (int i = 0; i < 100; ++i) {
      const auto x = a.next();
      CHECK(x == b.next());
      same += x == other.next();
    }
    CHECK(same < 3);
  }
  TEST_CASE("uniform, below and normal have their moments") {
    Rng rng(1, RngPurpose::kTest);
    const int n = 100000;
    double mean = 0, square = 0, normal2 = 0;
    std::vector<int> counts(7);
    for (int i = 0; i < n; ++i) {
      const double u = rng.uniform();
      mean += u, square += u * u;
      ++counts[rng.below(7)];
      const double z = rng.normal();
      normal2 += z * z;
    }
    CHECK(near(mean / n, 0.5, 0.01));
    CHECK(near(square / n, 1.0 / 3, 0.01));
    CHECK(near(normal2 / n, 1.0, 0.02));
    for (int c : counts) CHECK(near(c, n / 7.0, 0.05));
  }
}
