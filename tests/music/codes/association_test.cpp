#include "music/codes/association.h"

#include <doctest/doctest.h>
#include <omp.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "engine/core/rng.h"
#include "music/codes/permutation_test.h"
#include "tests/support/attribute_data.h"
#include "tests/support/golden.h"
#include "tests/support/margin.h"
#include "tests/support/reference_association.h"

namespace {

using namespace music;
using test::draw;
using test::near;
using test::within;
using Column = std::vector<int>;

const nlohmann::json& golden() {
  static const auto read = nlohmann::json::parse(
      std::ifstream(test::tests_folder() + "/golden/attributes.json"));
  return read;
}

Contingency count(const Column& a, const Column& b) {
  Contingency table(std::ranges::max(a) + 1, std::ranges::max(b) + 1);
  for (std::size_t i = 0; i < a.size(); ++i)
    if (b[i] >= 0) table.add(a[i], b[i]);
  return table;
}

Column random_column(std::uint32_t seed, std::size_t n, std::uint32_t values) {
  Column out;
  for (std::size_t i = 0; i < n; ++i)
    out.push_back(static_cast<int>(draw(seed, i, 0, values)));
  return out;
}

PermutationResult permute(const std::vector<Column>& codes,
                          const std::vector<Column>& attributes,
                          std::int64_t permutations, std::uint64_t seed = 0) {
  std::vector<std::vector<std::uint16_t>> kept(codes.size() + attributes.size());
  std::vector<Labels> labels;
  for (std::size_t c = 0; c < kept.size(); ++c) {
    const Column& column =
        c < codes.size() ? codes[c] : attributes[c - codes.size()];
    for (const int v : column)
      kept[c].push_back(v < 0 ? Labels::kUnknown : static_cast<std::uint16_t>(v));
    labels.push_back({std::ranges::max(column) + 1, kept[c]});
  }
  return permutation_test(std::span(labels).first(codes.size()),
                          std::span(labels).subspan(codes.size()),
                          {.permutations = permutations, .seed = seed, .done = {}});
}

// p by the definition: one permutation after the other, tables as maps.
std::vector<double> reference_p(const std::vector<Column>& codes,
                                const std::vector<Column>& attributes,
                                std::uint32_t permutations) {
  std::vector<double> p;
  for (const Column& code : codes)
    for (const Column& attribute : attributes) {
      const double observed = test::reference_information(code, attribute);
      double as_large = 1;
      for (std::uint32_t b = 0; b < permutations; ++b) {
        Column dealt(attribute.size(), -1);
        std::size_t next = 0;
        for (const auto i :
             drawn_order(static_cast<std::int64_t>(code.size()), 0, b, 0)) {
          if (attribute[i] < 0) continue;
          while (attribute[next] < 0) ++next;
          dealt[i] = attribute[next++];
        }
        as_large += test::reference_information(code, dealt) >= observed - 1e-9;
      }
      p.push_back(as_large / (permutations + 1));
    }
  return p;
}

}  // namespace

TEST_SUITE("association") {
  TEST_CASE("information, its chance and the adjusted: scikit-learn's") {
    for (const auto& c : golden().at("tables")) {
      const Column a = c.at("a"), b = c.at("b");
      const Association found = associate(count(a, b));
      CHECK(near(found.information, c.at("information"), 1e-12));
      CHECK(near(found.chance, c.at("chance"), 1e-11));
      CHECK(near(found.adjusted, c.at("adjusted"), 1e-10));
    }
  }

  TEST_CASE("the same of the definitions, with sizes no golden has") {
    for (std::uint32_t seed = 0; seed < 12; ++seed) {
      const std::size_t n = 20 + 60 * seed;
      const Column a = random_column(seed, n, 2 + seed * 3);
      Column b = random_column(seed + 50, n, 2 + seed);
      for (std::size_t i = 0; i < n; i += 2 + seed % 3) b[i] = a[i] % (2 + static_cast<int>(seed));
      const Association found = associate(count(a, b));
      CHECK(near(found.information, test::reference_information(a, b), 1e-12));
      const double chance = test::reference_chance(a, b);
      CHECK(near(found.chance, chance, 1e-10));
      const double entropy = test::reference_entropy(b);
      CHECK(near(found.share, (found.information - chance) / (entropy - chance), 1e-9));
    }
  }

  TEST_CASE("a variable tells all of itself and nothing of a constant") {
    const Column a = random_column(1, 500, 7);
    const Association self = associate(count(a, a));
    CHECK(near(self.share, 1, 1e-12));
    CHECK(near(self.adjusted, 1, 1e-12));
    const Association constant = associate(count(a, Column(500, 0)));
    CHECK(within(constant.information, 1e-12));
    CHECK(constant.share == 0);
    CHECK(constant.corrected == constant.information);
    CHECK(associate(Contingency(3, 4)).information == 0);
  }

  TEST_CASE("independent columns: what is counted is above 0, corrected it is not") {
    // 16 units, 8 values, 1000 images: expected (16-1)(8-1)/2n = 0.0525.
    double plain = 0, corrected = 0, chance = 0;
    constexpr int kTimes = 40;
    for (std::uint32_t t = 0; t < kTimes; ++t) {
      const Association found = associate(
          count(random_column(t, 1000, 16), random_column(t + 1000, 1000, 8)));
      CHECK(found.enough);
      plain += found.information / kTimes;
      corrected += found.corrected / kTimes;
      chance += found.chance / kTimes;
    }
    CHECK(near(plain, 0.0525, 8e-3));
    CHECK(within(std::abs(corrected), 6e-3));
    CHECK(within(std::abs(plain - chance), 2.5e-3));
  }

  TEST_CASE("Miller and Madow's correction fails without images, which is said") {
    // 80 units, 10 values, 500 images: most cells are empty by chance.
    double corrected = 0, above_chance = 0;
    constexpr int kTimes = 20;
    for (std::uint32_t t = 0; t < kTimes; ++t) {
      const Association found = associate(
          count(random_column(t, 500, 80), random_column(t + 1000, 500, 10)));
      CHECK_FALSE(found.enough);
      corrected += found.corrected / kTimes;
      above_chance += (found.information - found.chance) / kTimes;
    }
    CHECK(corrected > 0.25);
    CHECK(within(std::abs(above_chance), 0.02));
  }

  TEST_CASE("tails of the hypergeometric distribution: SciPy's") {
    for (const auto& c : golden().at("tails")) {
      const double tail = hypergeometric_tail(c.at("hits"), c.at("draws"),
                                              c.at("marked"), c.at("total"));
      CHECK(within(std::abs(tail / c.at("tail").get<double>() - 1), 1e-9));
    }
    CHECK(hypergeometric_tail(0, 0, 5, 10) == 1);
  }

  TEST_CASE("false discovery rates: SciPy's") {
    const auto& c = golden().at("discoveries");
    const std::vector<double> p = c.at("p"), q = c.at("q");
    const auto found = benjamini_hochberg(p);
    for (std::size_t i = 0; i < p.size(); ++i) CHECK(near(found[i], q[i], 1e-12));
    CHECK(benjamini_hochberg({}).empty());
  }

  TEST_CASE("p of all orders: SciPy's, as near as so many permutations come") {
    constexpr std::int64_t kPermutations = 20000;
    for (const auto& c : golden().at("exact")) {
      const double p = c.at("p");
      const double found = permute({c.at("a")}, {c.at("b")}, kPermutations).p[0];
      const double deviation = std::sqrt(p * (1 - p) / kPermutations);
      CHECK(within(std::abs(found - p), 6 * deviation + 1e-4));
    }
  }

  TEST_CASE("p is that of the definition, values not known left where they are") {
    std::vector<Column> codes{random_column(1, 90, 4), random_column(2, 90, 9)};
    std::vector<Column> attributes{random_column(3, 90, 3), random_column(4, 90, 2)};
    for (std::size_t i = 0; i < 90; i += 3) attributes[0][i] = codes[0][i] % 3;
    for (std::size_t i = 0; i < 90; i += 4) attributes[1][i] = -1;
    const auto found = permute(codes, attributes, 199);
    CHECK(found.p == reference_p(codes, attributes, 199));
  }

  TEST_CASE("the same for any number of threads") {
    std::vector<Column> codes, attributes;
    for (std::uint32_t s = 0; s < 5; ++s) codes.push_back(random_column(s, 200, 6));
    for (std::uint32_t a = 0; a < 3; ++a)
      attributes.push_back(random_column(a + 10, 200, 4));
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    const auto one = permute(codes, attributes, 150);
    omp_set_num_threads(3);
    const auto three = permute(codes, attributes, 150);
    omp_set_num_threads(threads);
    CHECK(one.p == three.p);
    CHECK(one.adjusted == three.adjusted);
    CHECK(permute(codes, attributes, 150, 1).p != one.p);
  }

  TEST_CASE("p of independent columns is uniform; the largest of a family as rare") {
    // 200 families of 8 x 2 pairs. Of single p, 5 % are at most 0.05, so nearly
    // every other family has one; of adjusted p one family in twenty.
    constexpr std::uint32_t kFamilies = 200;
    double single = 0, any_single = 0, any_adjusted = 0;
    for (std::uint32_t f = 0; f < kFamilies; ++f) {
      std::vector<Column> codes;
      for (std::uint32_t s = 0; s < 8; ++s)
        codes.push_back(random_column(1000 * f + s, 60, s % 2 ? 2 : 6));
      const auto found = permute(codes,
                                 {random_column(1000 * f + 100, 60, 3),
                                  random_column(1000 * f + 101, 60, 2)},
                                 99, f);
      const auto low = [](double p) { return p <= 0.05; };
      single += static_cast<double>(std::ranges::count_if(found.p, low)) / 16;
      any_single += std::ranges::any_of(found.p, low);
      any_adjusted += std::ranges::any_of(found.adjusted, low);
    }
    CHECK(within(std::abs(single / kFamilies - 0.05), 0.025));
    CHECK(any_single / kFamilies > 0.35);
    CHECK(within(any_adjusted / kFamilies, 0.12));
    CHECK(any_adjusted / kFamilies > 0.01);
  }

  TEST_CASE("what cannot depend has p 1") {
    const auto found = permute({Column(30, 0), random_column(1, 30, 3)},
                               {random_column(2, 30, 2)}, 99);
    CHECK(found.p[0] == 1);
    CHECK(found.adjusted[0] == 1);
  }
}
