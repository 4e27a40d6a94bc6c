#include "music/codes/view_statistics.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/support/made_codes.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using namespace music::test;

ViewStatistics counted(const Segments& segments, double temperature,
                       std::int64_t first, const std::vector<float>& a,
                       const std::vector<float>& b, std::int64_t batch) {
  const std::int64_t units = segments.units(), n = std::ssize(a) / units;
  ViewStatistics statistics(segments, temperature, first);
  for (std::int64_t i = 0; i < n; i += batch)
    statistics.add(a.data() + i * units, b.data() + i * units,
                   std::min(batch, n - i));
  return statistics;
}

TEST_SUITE("view_statistics") {
  TEST_CASE("P and agreement are those of the definition") {
    for (const auto& segments :
         {Segments::equal(12, 4), Segments::uneven({2, 5, 3, 7})})
      for (const double temperature : {1.0, 0.5}) {
        const std::int64_t n = 60, units = segments.units();
        const auto a = made_embeddings(n, units, 4, 1.5f);
        auto b = made_embeddings(n, units, 5, 0.8f);
        for (std::size_t i = 0; i < b.size(); ++i) b[i] += a[i];  // two views
        const ViewStatistics statistics =
            counted(segments, temperature, 9, a, b, 16);
        const Rows za = rows_of(a, units), zb = rows_of(b, units);
        const Rows qa = reference_codes(za, segments, temperature),
                   qb = reference_codes(zb, segments, temperature);
        REQUIRE(statistics.first() == 9);
        const auto p = statistics.joint();
        REQUIRE(p.size() == 81);
        for (std::int64_t d = 0; d < 9; ++d)
          for (std::int64_t e = 0; e < 9; ++e)
            CHECK(near(p[static_cast<std::size_t>(9 * d + e)],
                       reference_joint(qa, qb, d, e), 1e-6));
        double log_chance = 0, same = 0;
        const double cells = static_cast<double>(n * segments.count());
        for (std::size_t i = 0; i < qa.size(); ++i)
          for (std::int64_t s = 0; s < segments.count(); ++s) {
            double chance = 0;
            for (auto d = segments.begin(s); d < segments.begin(s + 1); ++d)
              chance += qa[i][static_cast<std::size_t>(d)] *
                        qb[i][static_cast<std::size_t>(d)];
            log_chance += std::log(chance) / cells;
            same += reference_code(za[i], segments, s) ==
                    reference_code(zb[i], segments, s);
          }
        CHECK(near(statistics.agreement(), std::exp(log_chance), 1e-6));
        CHECK(near(statistics.same_codes(), same / cells, 1e-12));
      }
  }

  TEST_CASE("batches of any size give the same to the bit") {
    const Segments segments = Segments::uneven({3, 6, 4});
    const auto a = made_embeddings(101, 13, 6), b = made_embeddings(101, 13, 7);
    const ViewStatistics whole = counted(segments, 1, 13, a, b, 101);
    for (const std::int64_t batch : {1, 7, 100}) {
      const ViewStatistics parts = counted(segments, 1, 13, a, b, batch);
      CHECK(parts.joint() == whole.joint());
      CHECK(parts.agreement() == whole.agreement());
      CHECK(parts.same_codes() == whole.same_codes());
    }
  }

  TEST_CASE("the optimum of the paper") {
    // One-hot codes, all 3 x 3 pairs of two segments equally often.
    const Segments segments = Segments::equal(6, 3);
    std::vector<float> z;
    for (int i = 0; i < 9; ++i)
      for (int d = 0; d < 6; ++d)
        z.push_back(d == i % 3 || d == 3 + i / 3 ? 60.0f : 0.0f);
    const ViewStatistics statistics = counted(segments, 1, 400, z, z, 4);
    CHECK(statistics.first() == 6);  // no more than there are
    const auto p = statistics.joint();
    for (int d = 0; d < 6; ++d)
      for (int e = 0; e < 6; ++e)
        CHECK(near(p[static_cast<std::size_t>(6 * d + e)],
                   d / 3 != e / 3 ? 1 / 9.0 : d == e ? 1 / 3.0 : 0, 1e-6));
    CHECK(near(statistics.agreement(), 1, 1e-6));
    CHECK(statistics.same_codes() == 1);
  }
}

}  // namespace
