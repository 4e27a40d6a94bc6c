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

  TEST_CASE("ImageNet on 32 ranks: 626 steps, the last of 1167") {
    for (int rank : {0, 14, 15, 31}) {
      const Sampler sampler(1'281'167, 2048, 0, rank, 32);
      CHECK(sampler.batches_per_epoch() == 626);
      CHECK(sampler.batch_size(624) == 64);
      CHECK(sampler.batch_total(625) == 1167);
      CHECK(sampler.batch_size(625) == (rank < 15 ? 37 : 36));
      CHECK(sampler.samples_per_epoch() == 1'281'167);
    }
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

  TEST_CASE("ranks share the batches of one process, whatever their number") {
    Sampler one(103, 32, 9);
    std::vector<std::int64_t> whole, part;
    for (int world = 1; world <= 7; ++world)
      for (std::int64_t b = 0; b < 4; ++b) {
        CAPTURE(world);
        one.indices(2, b, whole);
        std::vector<std::int64_t> joined(whole.size());
        for (int rank = 0; rank < world; ++rank) {
          Sampler sampler(103, 32, 9, rank, world);
          CHECK(sampler.batches_per_epoch() == 4);
          sampler.indices(2, b, part);
          const auto stride = static_cast<std::size_t>(world);
          for (std::size_t i = 0; i < part.size(); ++i)
            joined.at(static_cast<std::size_t>(rank) + i * stride) = part[i];
        }
        CHECK(joined == whole);
      }
  }

  TEST_CASE("fewer samples left than ranks: some have none") {
    const auto order = permutation(18, 0, 0);
    std::vector<std::int64_t> got;
    for (int rank = 0; rank < 7; ++rank) {
      Sampler sampler(18, 16, 0, rank, 7);
      CHECK(sampler.batch_total(1) == 2);
      sampler.indices(0, 1, got);
      REQUIRE(got.size() == (rank < 2 ? 1 : 0));
      if (rank < 2) CHECK(got[0] == order[static_cast<std::size_t>(16 + rank)]);
    }
  }

  TEST_CASE("an epoch of all ranks is every sample once, whatever their number") {
    for (const std::int64_t n : {1, 5, 8, 17, 24})
      for (const std::int64_t batch : {1, 3, 8})
        for (int world = 1; world <= 9; ++world) {
          CAPTURE(n);
          CAPTURE(batch);
          CAPTURE(world);
          std::vector<std::int64_t> all;
          for (int rank = 0; rank < world; ++rank) {
            Sampler sampler(n, batch, 0, rank, world);
            CHECK(sampler.samples_per_epoch() == n);
            const auto mine = epoch_of(sampler, 3);
            all.insert(all.end(), mine.begin(), mine.end());
          }
          std::ranges::sort(all);
          std::vector<std::int64_t> each(static_cast<std::size_t>(n));
          std::iota(each.begin(), each.end(), 0);
          CHECK(all == each);
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
    CHECK_THROWS_AS(Sampler(5, 2, 0, 2, 2), music::Error);
    CHECK_THROWS_AS(Sampler(5, 1, 0).batch_size(5), music::Error);
  }
}
