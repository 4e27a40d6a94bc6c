#include "music/codes/code_statistics.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "engine/core/error.h"
#include "tests/support/made_codes.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using namespace music::test;

std::vector<std::int64_t> numbers(std::int64_t n) {
  std::vector<std::int64_t> samples(static_cast<std::size_t>(n));
  std::iota(samples.begin(), samples.end(), 0);
  return samples;
}

CodeStatistics counted(const CodeStatisticsSpec& spec, const std::vector<float>& z,
                       std::int64_t batch) {
  const std::int64_t units = spec.segments.units();
  const auto samples = numbers(std::ssize(z) / units);
  CodeStatistics statistics(spec);
  for (std::int64_t i = 0; i < std::ssize(samples); i += batch)
    statistics.add(z.data() + i * units,
                   std::span(samples).subspan(
                       static_cast<std::size_t>(i),
                       static_cast<std::size_t>(
                           std::min(batch, std::ssize(samples) - i))));
  return statistics;
}

// Whole tables: what is not a number is the same too.
void check_same(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    CHECK((a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))));
}

TEST_SUITE("code_statistics") {
  TEST_CASE("usage, shares and information are those of the definition") {
    for (const auto& segments :
         {Segments::equal(12, 4), Segments::uneven({2, 5, 3, 7})})
      for (const double temperature : {1.0, 0.4}) {
        const std::int64_t n = 150, units = segments.units();
        const std::vector<float> z = made_embeddings(n, units, 1);
        const CodeStatistics statistics =
            counted({segments, temperature, {}}, z, 32);
        const Rows rows = rows_of(z, units);
        const Rows q = reference_codes(rows, segments, temperature);
        CHECK(statistics.images() == n);
        const auto mean = statistics.mean_q();
        const auto information = statistics.mutual_information(),
                   plug_in = statistics.plug_in_information();
        for (std::int64_t s = 0; s < segments.count(); ++s) {
          double entropy = 0;
          std::int64_t dead = 0;
          for (auto d = segments.begin(s); d < segments.begin(s + 1); ++d) {
            double p = 0, wins = 0;
            for (std::size_t i = 0; i < q.size(); ++i) {
              p += q[i][static_cast<std::size_t>(d)] / static_cast<double>(n);
              wins += reference_code(rows[i], segments, s) == d - segments.begin(s);
            }
            entropy -= p * std::log(p);
            dead += p < 0.05 / static_cast<double>(segments.size(s));
            CHECK(near(mean[static_cast<std::size_t>(d)], p, 1e-6));
            CHECK(statistics.share(d) == wins / static_cast<double>(n));
          }
          CHECK(near(statistics.usage(s),
                     entropy / std::log(static_cast<double>(segments.size(s))),
                     2e-6));
          CHECK(statistics.dead_units(s) == dead);
          for (std::int64_t t = 0; t < segments.count(); ++t) {
            const auto at = static_cast<std::size_t>(s * segments.count() + t);
            if (s == t) {
              CHECK(std::isnan(information[at]));
              continue;
            }
            const auto expected = reference_information(rows, segments, s, t);
            const double most = std::log(static_cast<double>(
                std::min(segments.size(s), segments.size(t))));
            CHECK(near(plug_in[at], expected.plug_in / most, 1e-12));
            CHECK(near(information[at],
                       (expected.plug_in + expected.correction) / most, 1e-12));
          }
        }
      }
  }

  TEST_CASE("batches of any size give the same to the bit") {
    const Segments segments = Segments::uneven({3, 6, 4});
    const CodeStatisticsSpec spec{segments, 1, {0, 5, 12}, 4};
    const std::vector<float> z = made_embeddings(101, 13, 2);
    const CodeStatistics whole = counted(spec, z, 101);
    for (const std::int64_t batch : {1, 7, 100}) {
      const CodeStatistics parts = counted(spec, z, batch);
      CHECK(parts.mean_q() == whole.mean_q());
      check_same(parts.mutual_information(), whole.mutual_information());
      for (std::int64_t s = 0; s < 3; ++s) CHECK(parts.usage(s) == whole.usage(s));
      for (std::size_t i = 0; i < spec.units.size(); ++i) {
        const auto a = parts.surest(i), b = whole.surest(i);
        REQUIRE(a.size() == b.size());
        for (std::size_t k = 0; k < a.size(); ++k) {
          CHECK(a[k].sample == b[k].sample);
          CHECK(a[k].q == b[k].q);
        }
      }
    }
  }

  TEST_CASE("codes whose nature is known") {
    // Segment 1 copies segment 0, segment 2 is independent of both: all 4 x 4
    // pairs equally often.
    const Segments segments = Segments::equal(12, 4);
    std::vector<float> z;
    const std::int64_t n = 4 * 4 * 50;
    for (std::int64_t i = 0; i < n; ++i) {
      std::vector<float> one(12, 0.0f);
      one[static_cast<std::size_t>(i % 4)] = 50;
      one[static_cast<std::size_t>(4 + (i % 4 + 1) % 4)] = 50;
      one[static_cast<std::size_t>(8 + i / 4 % 4)] = 50;
      z.insert(z.end(), one.begin(), one.end());
    }
    const CodeStatistics statistics = counted({segments, 1, {}}, z, 64);
    for (std::int64_t s = 0; s < 3; ++s) {
      CHECK(near(statistics.usage(s), 1, 1e-9));
      CHECK(statistics.dead_units(s) == 0);
    }
    const auto plug_in = statistics.plug_in_information(),
               information = statistics.mutual_information();
    CHECK(near(plug_in[1], 1, 1e-12));
    CHECK(near(plug_in[2], 0, 1e-12));
    // (4 + 4 - 4 - 1) / 2n and (4 + 4 - 16 - 1) / 2n nats.
    CHECK(near(information[1] - plug_in[1], 3 / (2.0 * n) / std::log(4.0), 1e-12));
    CHECK(near(information[2] - plug_in[2], -9 / (2.0 * n) / std::log(4.0), 1e-12));
  }

  TEST_CASE("a unit is dead below a twentieth of its share") {
    // Of 1000 images: unit 1 has 13, unit 2 has 12; 12.5 would be a twentieth.
    std::vector<float> z(4000, 0.0f);
    for (std::size_t i = 0; i < 1000; ++i)
      z[4 * i + (i < 13 ? 1 : i < 25 ? 2 : i % 2 * 3)] = 60;
    const CodeStatistics statistics = counted({Segments::equal(4, 4), 1, {}}, z, 300);
    CHECK(statistics.dead_units(0) == 1);
    CHECK(statistics.share(1) == 0.013);
  }

  TEST_CASE("the correction takes away what chance shows") {
    // Independent segments: the plug-in estimate is above 0 throughout.
    const Segments segments = Segments::equal(24, 6);
    const CodeStatistics statistics =
        counted({segments, 1, {}}, made_embeddings(2000, 24, 3), 256);
    double plug_in = 0, corrected = 0;
    for (std::size_t at : {1, 2, 3, 6, 7, 11}) {
      plug_in += statistics.plug_in_information()[at] / 6;
      corrected += statistics.mutual_information()[at] / 6;
    }
    // 25 / 2n nats over log 6.
    CHECK(near(plug_in, 25 / 4000.0 / std::log(6.0), 2e-3));
    CHECK(plug_in > 2e-3);
    CHECK(within(std::abs(corrected), 1e-3));
  }

  TEST_CASE("the surest images, equals by their number") {
    const Segments segments = Segments::equal(4, 2);
    // q of unit 0: images 1, 3 and 4 equal and surest, then 0, then 2.
    const std::vector<float> z{1, 0, 0, 0, 2, 0, 0, 0, -1, 0,
                               0, 0, 2, 0, 0, 0, 2, 0, 0, 0};
    for (const std::int64_t batch : {1, 2, 5}) {
      const CodeStatistics two = counted({segments, 1, {0}, 2}, z, batch);
      REQUIRE(two.surest(0).size() == 2);
      CHECK(two.surest(0)[0].sample == 1);
      CHECK(two.surest(0)[1].sample == 3);
      const CodeStatistics all = counted({segments, 1, {1, 0}, 9}, z, batch);
      REQUIRE(all.surest(1).size() == 5);
      CHECK(all.surest(1)[3].sample == 0);
      CHECK(all.surest(1)[4].sample == 2);
      CHECK(all.surest(0)[0].sample == 2);
      CHECK(counted({segments, 1, {0}, 0}, z, batch).surest(0).empty());
    }
  }

  TEST_CASE("what is held does not grow with the images") {
    const Segments segments = Segments::equal(40, 10);
    CodeStatistics statistics({segments, 1, {1, 2, 3}, 4});
    const std::vector<float> z = made_embeddings(10, 40, 8);
    statistics.add(z.data(), numbers(10));
    const std::size_t bytes = statistics.bytes();
    for (int i = 0; i < 500; ++i) statistics.add(z.data(), numbers(10));
    CHECK(statistics.images() == 5010);
    CHECK(statistics.bytes() == bytes);
    // 6 pairs of segments, 100 cells of 4 bytes each, and little beside.
    CHECK(bytes >= 2400);
    CHECK(bytes < 2400 + 1200);
  }

  TEST_CASE("numbers that are none, units that are not there") {
    const Segments segments = Segments::equal(4, 2);
    CodeStatistics statistics({segments, 1, {}});
    for (const float wrong : {std::numeric_limits<float>::quiet_NaN(),
                              std::numeric_limits<float>::infinity(),
                              -std::numeric_limits<float>::infinity()}) {
      const std::vector<float> z{0, 1, wrong, 1};
      CHECK_THROWS_WITH_AS(statistics.add(z.data(), numbers(1)),
                           "[codes] 1 of 4 numbers of embeddings are not finite",
                           Error);
    }
    CHECK(statistics.images() == 0);
    CHECK_THROWS_AS(statistics.usage(0), Error);
    for (const std::int64_t unit : {-1, 4})
      CHECK_THROWS_WITH_AS(
          CodeStatistics({segments, 1, {0, unit}}),
          fmt::format("[codes] unit {}, expected one of 0 to 3", unit).c_str(), Error);
  }
}

}  // namespace
