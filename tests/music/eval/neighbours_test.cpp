// Nearest neighbours against brute force in double: the same rows in the same
// order, ties and all, whatever the blocks.
#include "music/eval/neighbours.h"

#include <doctest/doctest.h>
#include <omp.h>

#include <cstring>
#include <fstream>
#include <limits>
#include <string>

#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "tests/support/margin.h"
#include "tests/support/reference_knn.h"

namespace {

using namespace music;
using namespace music::test;

using Matrix = std::vector<float>;

Rows rows_of(const Matrix& m, std::int64_t width) {
  return {m.data(), static_cast<std::int64_t>(m.size()) / width, width};
}

Matrix normal(std::int64_t rows, std::int64_t width, std::uint32_t stream) {
  Rng rng(3, RngPurpose::kTest, stream);
  Matrix m(static_cast<std::size_t>(rows * width));
  for (float& v : m) v = static_cast<float>(rng.normal());
  return m;
}

// Whole numbers: every sum is exact, and many similarities are equal.
Matrix small_integers(std::int64_t rows, std::int64_t width,
                      std::uint32_t stream) {
  Rng rng(4, RngPurpose::kTest, stream);
  Matrix m(static_cast<std::size_t>(rows * width));
  for (float& v : m) v = static_cast<float>(rng.below(3)) - 1;
  return m;
}

std::vector<Neighbour> find(const Matrix& bank, const Matrix& queries,
                            std::int64_t width, std::int64_t k,
                            NeighbourBlocks blocks = {}) {
  NeighbourSearch search(rows_of(bank, width), "training", {}, blocks);
  const Rows q = rows_of(queries, width);
  std::vector<Neighbour> out(static_cast<std::size_t>(q.count * k));
  search.find(q, k, out);
  return out;
}

// Same rows, and similarities to rounding.
void check_reference(const Matrix& bank, const Matrix& queries,
                     std::int64_t width, std::int64_t k,
                     const std::vector<Neighbour>& found) {
  double worst = 0;
  std::int64_t differ = 0;
  const auto n = static_cast<std::int64_t>(queries.size()) / width;
  for (std::int64_t q = 0; q < n; ++q) {
    const auto expected =
        reference_neighbours(bank, queries.data() + q * width, width);
    for (std::int64_t i = 0; i < k; ++i) {
      const Neighbour& got = found[static_cast<std::size_t>(q * k + i)];
      const auto at = static_cast<std::size_t>(i);
      differ += got.row != expected.rows[at];
      worst = std::max(worst,
                       std::abs(got.similarity - expected.similarities[at]));
    }
  }
  CHECK(differ == 0);
  CHECK(within(worst, 1e-14));
}

bool same(const std::vector<Neighbour>& a, const std::vector<Neighbour>& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(Neighbour)) == 0;
}

std::string message(const Matrix& bank, std::int64_t width) {
  try {
    NeighbourSearch search(rows_of(bank, width), "training");
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

// Bytes, from /proc/self/status.
double resident(const std::string& field) {
  std::ifstream status("/proc/self/status");
  std::string key;
  double kilobytes = 0;
  while (status >> key)
    if (key == field + ":" && status >> kilobytes) return 1024 * kilobytes;
  return 0;
}

TEST_SUITE_BEGIN("neighbours");

TEST_CASE("the rows of brute force, for any width and k") {
  for (const std::int64_t width : {1, 3, 31, 32, 33, 130}) {
    CAPTURE(width);
    // Of one number a row, all are equally near or far.
    const Matrix bank = normal(500, width, 1), queries = normal(40, width, 2);
    for (const std::int64_t k : {1, 7, 200, 500}) {
      CAPTURE(k);
      check_reference(bank, queries, width, k, find(bank, queries, width, k));
    }
  }
}

TEST_CASE("ties go by row, among rows of zeros too") {
  const Matrix bank = small_integers(3000, 6, 1);
  Matrix queries = small_integers(60, 6, 2);
  std::fill_n(queries.begin(), 6, 0.0f);
  for (const std::int64_t k : {1, 20, 400})
    check_reference(bank, queries, 6, k, find(bank, queries, 6, k));
}

// Similarities that single precision does not tell apart.
TEST_CASE("rows nearer to each other than the product's rounding") {
  constexpr std::int64_t kWidth = 256;
  const Matrix centre = normal(1, kWidth, 5), noise = normal(4000, kWidth, 6);
  Matrix bank(noise.size());
  for (std::size_t i = 0; i < bank.size(); ++i)
    bank[i] = centre[i % kWidth] * (1 + 2e-6f * noise[i]);
  const Matrix queries = normal(10, kWidth, 7);
  check_reference(bank, queries, kWidth, 20, find(bank, queries, kWidth, 20));
}

TEST_CASE("equal bits for any blocks and threads") {
  const Matrix bank = normal(3000, 65, 1), queries = normal(200, 65, 2);
  const auto expected = find(bank, queries, 65, 50);
  for (const NeighbourBlocks blocks :
       {NeighbourBlocks{1, 3000}, NeighbourBlocks{200, 1}, NeighbourBlocks{7, 64},
        NeighbourBlocks{64, 999}})
    CHECK(same(find(bank, queries, 65, 50, blocks), expected));
  const int threads = omp_get_max_threads();
  for (const int n : {1, 3}) {
    omp_set_num_threads(n);
    CHECK(same(find(bank, queries, 65, 50), expected));
  }
  omp_set_num_threads(threads);
}

TEST_CASE("a bank that is one row over and over") {
  const Matrix row = normal(1, 64, 1), queries = normal(5, 64, 2);
  Matrix bank;
  for (int i = 0; i < 5000; ++i) bank.insert(bank.end(), row.begin(), row.end());
  const auto found = find(bank, queries, 64, 30);
  for (std::size_t i = 0; i < found.size(); ++i)
    CHECK(found[i].row == static_cast<std::int64_t>(i % 30));
}

TEST_CASE("chosen rows are a bank of their own, under their own numbers") {
  constexpr std::int64_t kWidth = 20;
  const Matrix bank = normal(900, kWidth, 1), queries = normal(30, kWidth, 2);
  std::vector<std::int64_t> chosen;
  Matrix copy;
  for (std::int64_t i = 1; i < 900; i += 1 + i % 4) {
    chosen.push_back(i);
    copy.insert(copy.end(), bank.begin() + i * kWidth,
                bank.begin() + (i + 1) * kWidth);
  }
  auto expected = find(copy, queries, kWidth, 15);
  for (Neighbour& n : expected) n.row = chosen[static_cast<std::size_t>(n.row)];
  NeighbourSearch search(rows_of(bank, kWidth), "training", chosen, {8, 100});
  CHECK(search.size() == static_cast<std::int64_t>(chosen.size()));
  std::vector<Neighbour> found(30 * 15);
  search.find(rows_of(queries, kWidth), 15, found);
  CHECK(same(found, expected));
}

TEST_CASE("few rows are compared in double") {
  const Matrix bank = normal(20000, 64, 1), queries = normal(50, 64, 2);
  NeighbourSearch search(rows_of(bank, 64), "training");
  std::vector<Neighbour> found(50 * 20);
  search.find(rows_of(queries, 64), 20, found);
  CHECK(search.compared() >= 50 * 20);
  CHECK(search.compared() < 50 * 22);
}

TEST_CASE("rows without a direction are refused") {
  Matrix bank = normal(10, 4, 1);
  CHECK(message(bank, 4).empty());
  const float good = bank[13];
  bank[13] = std::numeric_limits<float>::quiet_NaN();
  CHECK(message(bank, 4) ==
        "[knn] feature row 3 of the training images has length nan: expected "
        "finite values, 0 or 1e-30 to 1e30");
  bank[13] = std::numeric_limits<float>::infinity();
  CHECK(message(bank, 4).find("row 3") != std::string::npos);
  bank[13] = 3e30f;
  CHECK(message(bank, 4).find("row 3") != std::string::npos);
  bank[13] = good;
  std::fill_n(bank.begin() + 12, 4, 1e-31f);
  CHECK(message(bank, 4).find("row 3") != std::string::npos);
  std::fill_n(bank.begin() + 12, 4, 0.0f);
  CHECK(message(bank, 4).empty());
}

// Large rows and small ones take part in the same way.
TEST_CASE("lengths of rows do not matter") {
  Matrix bank = normal(600, 16, 1);
  for (std::size_t i = 0; i < bank.size(); ++i)
    bank[i] *= i / 16 % 3 == 0 ? 0x1p90f : i / 16 % 3 == 1 ? 0x1p-90f : 1;
  Matrix queries = normal(20, 16, 2);
  for (std::size_t i = 0; i < 32; ++i) queries[i] *= i < 16 ? 0x1p80f : 0x1p-80f;
  check_reference(bank, queries, 16, 50, find(bank, queries, 16, 50));
}

#if !defined(MUSIC_TESTS_SHORT)
TEST_CASE("a pass needs 15 % of the features beside them, at most") {
  constexpr std::int64_t kRows = 200'000, kWidth = 256, kQueries = 300;
  Rng rng(1, RngPurpose::kTest);
  Matrix bank(kRows * kWidth), queries(kQueries * kWidth);
  for (float& v : bank) v = static_cast<float>(rng.next() >> 8) - 0x1p23f;
  for (float& v : queries) v = static_cast<float>(rng.next() >> 8) - 0x1p23f;
  std::vector<Neighbour> found(kQueries * 200);
  const double features =
      static_cast<double>((bank.size() + queries.size()) * sizeof(float));
  std::ofstream("/proc/self/clear_refs") << "5";  // VmHWM starts again
  const double before = resident("VmRSS");
  NeighbourSearch search(rows_of(bank, kWidth), "training");
  search.find(rows_of(queries, kWidth), 200, found);
  const double extra = resident("VmHWM") - before;
  CHECK(extra > 0);
  CHECK(within(extra / features, 0.15));
}
#endif

TEST_SUITE_END();

}  // namespace
