// Neighbours of rows in a file, in pieces of any size, against one search of all.
#include "music/eval/row_neighbours.h"

#include <doctest/doctest.h>

#include "engine/core/rng.h"
#include "tests/support/scratch.h"

TEST_SUITE("row_neighbours") {

TEST_CASE("pieces of any size find what one search finds") {
  using namespace music;
  constexpr std::int64_t kRows = 301, kWidth = 24, kNearest = 7;
  std::vector<float> values;
  for (std::int64_t i = 0; i < kRows; ++i) {
    Rng rng(1, RngPurpose::kTest, 7, static_cast<std::uint32_t>(i % 250));  // ties
    for (std::int64_t j = 0; j < kWidth; ++j) values.push_back(rng.uniform());
  }
  const test::Scratch scratch;
  write_npy<float>(scratch.path / "rows.npy", {kRows, kWidth}, values);
  const Rows rows{values.data(), kRows, kWidth};
  std::vector<Neighbour> all(kRows * kRows), out(kRows * kNearest);
  NeighbourSearch(rows, "test").find(rows, kRows, all);
  for (const std::int64_t pieces : {1, 2, 3, 40, 301}) {
    CAPTURE(pieces);
    double last = 0;
    row_neighbours(NpyReader(scratch.path / "rows.npy"), kNearest, out,
                   [&](double done) { last = done; },
                   (kRows + pieces - 1) / pieces * kWidth * 4);
    CHECK(last == doctest::Approx(1));
    std::int64_t differ = 0;
    for (std::int64_t i = 0; i < kRows; ++i) {
      std::vector<std::int64_t> expected;
      for (std::int64_t j = 0; j < kRows; ++j) {
        const Neighbour& n = all[static_cast<std::size_t>(i * kRows + j)];
        if (n.row != i && std::ssize(expected) < kNearest) expected.push_back(n.row);
      }
      for (std::int64_t j = 0; j < kNearest; ++j)
        differ += out[static_cast<std::size_t>(i * kNearest + j)].row !=
                  expected[static_cast<std::size_t>(j)];
    }
    CHECK(differ == 0);
  }
}

}  // TEST_SUITE
