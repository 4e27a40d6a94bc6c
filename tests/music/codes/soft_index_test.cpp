// Soft codes: what is kept of q, and search against one image at a time.
#include "music/codes/soft_index.h"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/core/error.h"
#include "music/codes/soft_codes.h"
#include "tests/support/made_codes.h"
#include "tests/support/reference_search.h"

namespace {

using namespace music;
using namespace music::test;

std::vector<SoftCode> made_soft(const Segments& segments, std::int64_t n, float spread) {
  const std::vector<float> z = made_embeddings(n, segments.units(), 5, spread);
  std::vector<float> q(z.size());
  soft_codes(z.data(), n, segments, 1, q.data());
  std::vector<SoftCode> codes;
  for (std::int64_t i = 0; i < n; ++i)
    codes.push_back(SoftIndex::keep(q.data() + i * segments.units(), segments));
  return codes;
}

std::vector<CodeMatch> reference(const std::vector<SoftCode>& codes, const SoftCode& code,
                                 std::int64_t k, std::int64_t except) {
  std::vector<CodeMatch> all;
  for (std::int64_t i = 0; i < std::ssize(codes); ++i)
    if (i != except)
      all.push_back({i, reference_agreement(code, codes[static_cast<std::size_t>(i)])});
  return first_of(std::move(all), k);
}

}  // namespace

TEST_SUITE("soft_index") {

TEST_CASE("the likeliest units are kept, with rounded weights") {
  const Segments segments = Segments::uneven({5, 2, 4});
  const float q[] = {0.1f, 0.4f, 0.1f, 0.3f, 0.1f, 0.f, 1.f, 0.25f, 0.25f, 0.25f, 0.25f};
  const SoftCode code = SoftIndex::keep(q, segments);
  CHECK(code.units == std::vector<std::uint16_t>{1, 3, 0, 1, 0, 0, 0, 1, 2});
  CHECK(code.weights == std::vector<std::uint8_t>{102, 77, 26, 255, 0, 0, 64, 64, 64});
  // The most that a segment's weights add up to keeps its sum within 16 bits.
  const float halves[] = {0.5f, 0.5f, 0, 0, 0, 0.5f, 0.5f, 0.5f, 0.5f, 0, 0};
  SoftIndex index(segments);
  index.add(SoftIndex::keep(halves, segments));
  CHECK(index.find(index.code(0), 1)[0].score == 3 * 2 * 128 * 128);
}

TEST_CASE("search, and neighbours of all, are those of the stored numbers") {
  for (const auto& [segments, n] :
       {std::pair{Segments::equal(16 * 8, 8), std::int64_t{2300}},
        std::pair{Segments::uneven({2, 300, 5}), std::int64_t{1100}}}) {
    const std::vector<SoftCode> codes = made_soft(segments, n, 2);
    SoftIndex index(segments, n);
    for (const SoftCode& code : codes) index.add(code);
    std::vector<CodeMatch> out(static_cast<std::size_t>(n * 3));
    index.neighbours(3, out);
    for (std::int64_t i = 0; i < n; i += 97) {
      const SoftCode& code = codes[static_cast<std::size_t>(i)];
      CHECK(index.code(i).units == code.units);
      CHECK(index.code(i).weights == code.weights);
      CHECK(index.find(code, 20, i) == reference(codes, code, 20, i));
      const auto expected = reference(codes, code, 3, i);
      CHECK(std::equal(expected.begin(), expected.end(), out.begin() + i * 3));
    }
  }
}

TEST_CASE("expected agreement is that of q but for what is left out") {
  const Segments segments = Segments::equal(6 * 4, 4);
  const std::vector<float> z = made_embeddings(40, segments.units(), 9, 4);
  std::vector<float> q(z.size());
  soft_codes(z.data(), 40, segments, 1, q.data());
  for (int i = 1; i < 40; ++i) {
    const float *a = q.data(), *b = q.data() + i * segments.units();
    double exact = 0;
    for (std::int64_t u = 0; u < segments.units(); ++u)
      exact += static_cast<double>(a[u]) * static_cast<double>(b[u]);
    const double found =
        static_cast<double>(reference_agreement(SoftIndex::keep(a, segments),
                                                SoftIndex::keep(b, segments))) /
        SoftIndex::kScale;
    // 6 segments: the fourth unit's q is below 1/4 in both; half a step of 1/255.
    CHECK(std::abs(found - exact) < 6 * (1.0 / 16 + 2.0 / 255));
  }
}

TEST_CASE("a unit that is not there is an error") {
  SoftIndex index(Segments::equal(6, 3));
  SoftCode code{{0, 1, 2, 0, 3, 0}, {1, 1, 1, 1, 1, 1}};
  CHECK_THROWS_WITH_AS(index.add(code),
                       "[codes] image 0 has unit 3 in segment 1, expected less than 3",
                       Error);
}

}  // TEST_SUITE
