#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "data/sampler.h"
#include "engine/core/error.h"

TEST_SUITE("sampler") {
  using music::data::permutation;
  using music::data::Sampler;

  std::vector<std::int64_t> epoch_of(Sampler& sampler, std::int64_t epoch) {
    std::vector<std::int64_t> all, batch;
    for (std::int64_t b = 0; b < sampler.batches_per_epoch(); ++b) {
      sampler.indices(epoch, b, batch);
      CHECK(static_cast<std::int64_t>(batch.size()) == sampler.batch_size(b));
      all.insert(all.end(), batch.begin(), batch.end());
    }
    return all;
  }

  TEST_CASE("ImageNet on 32 ranks: 626 steps, the last of 37") {
    const Sampler sampler(1'281'167, 64, 0, 5, 32);
    CHECK(sampler.samples_per_epoch() == 40'037);
    CHECK(sampler.batches_per_epoch() == 626);
    CHECK(sampler.batch_size(624) == 64);
    CHECK(sampler.batch_size(625) == 37);
  }

  TEST_CASE("an epoch is a permutation; epochs and seeds differ") {
    const auto a = permutation(1000, 3, 0);
    auto sorted = a;
    std::sort(sorted.begin(), sorted.end());
    std::vector<std::uint32_t> identity(1000);
    std::iota(identity.begin(), identity.end(), 0u);
    CHECK(sorted == identity);
    CHECK(permutation(1000, 3, 0) == a);
    CHECK(permutation(1000, 3, 1) != a);
    CHECK(permutation(1000, 4, 0) != a);
    CHECK(a != identity);
  }

  TEST_CASE("every order of three is equally likely") {
    std::array<int, 27> count{};
    for (std::uint32_t epoch = 0; epoch < 6000; ++epoch) {
      const auto p = permutation(3, 11, epoch);
      ++count[9 * p[0] + 3 * p[1] + p[2]];
    }
    for (const auto& p : {std::array{0, 1, 2}, std::array{0, 2, 1},
                          std::array{1, 0, 2}, std::array{1, 2, 0},
                          std::array{2, 0, 1}, std::array{2, 1, 0}}) {
      const int c = count[static_cast<std::size_t>(9 * p[0] + 3 * p[1] + p[2])];
      CHECK(c > 1000 - 150);  // 5 standard deviations
      CHECK(c < 1000 + 150);
    }
  }

  TEST_CASE("ranks share the batches of one process") {
    // 4 ranks x 8 = 1 rank x 32; 103 samples are padded to 104 by the first.
    Sampler one(103, 32, 9);
    std::vector<std::int64_t> whole, part, joined;
    const auto order = permutation(103, 9, 2);
    for (std::int64_t b = 0; b < 4; ++b) {
      joined.clear();
      for (int rank = 0; rank < 4; ++rank) {
        Sampler sampler(103, 8, 9, rank, 4);
        CHECK(sampler.batches_per_epoch() == 4);
        sampler.indices(2, b, part);
        joined.insert(joined.end(), part.begin(), part.end());
      }
      one.indices(2, b, whole);
      if (b == 3) whole.push_back(order[0]);
      std::sort(joined.begin(), joined.end());
      std::sort(whole.begin(), whole.end());
      CHECK(joined == whole);
    }
  }

  TEST_CASE("fewer samples than ranks: repeated as often as needed") {
    for (int rank = 0; rank < 7; ++rank) {
      Sampler sampler(2, 4, 0, rank, 7);
      const auto got = epoch_of(sampler, 0);
      REQUIRE(got.size() == 1);
      CHECK(got[0] == permutation(2, 0, 0)[static_cast<std::size_t>(rank % 2)]);
    }
  }

  TEST_CASE("a batch does not depend on what was asked before") {
    Sampler a(50, 7, 1), b(50, 7, 1);
    std::vector<std::int64_t> first, second;
    a.indices(0, 0, first);
    a.indices(4, 3, first);
    b.indices(4, 3, second);
    CHECK(first == second);
  }

  TEST_CASE("misuse is an error") {
    CHECK_THROWS_AS(Sampler(0, 1, 0), music::Error);
    CHECK_THROWS_AS(Sampler(5, 0, 0), music::Error);
    CHECK_THROWS_AS(Sampler(5, 1, 0, 2, 2), music::Error);
    CHECK_THROWS_AS(Sampler(5, 1, 0).batch_size(5), music::Error);
  }
}
