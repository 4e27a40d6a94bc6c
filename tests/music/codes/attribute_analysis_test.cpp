#include "music/codes/attribute_analysis.h"

#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "engine/core/error.h"
#include "music/codes/attribute_file.h"
#include "tests/support/attribute_data.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using test::within;

constexpr std::size_t kImages = 600;
const std::vector<std::int64_t> kUnits{8, 8, 12, 8, 16, 8};

// Segment 1 tells the colour in most images, 2 the shape in some, 4 the colour in
// a few; nobody tells the noise. Segments beside these six know nothing.
struct Example {
  std::vector<Attribute> attributes{
      test::random_attribute("colour", kImages, 4, 1),
      test::random_attribute("shape", kImages, 3, 2),
      test::random_attribute("noise", kImages, 5, 3)};
  std::vector<std::uint16_t> codes;
  Segments segments;

  explicit Example(std::vector<std::int64_t> units = kUnits)
      : codes(test::random_codes(kImages, units, 4)),
        segments(Segments::uneven(units)) {
    test::tell(codes, units.size(), 1, attributes[0], 0.8, 5);
    test::tell(codes, units.size(), 2, attributes[1], 0.5, 6);
    test::tell(codes, units.size(), 4, attributes[0], 0.3, 7);
  }
  AttributeAnalysis analyse(AttributeSpec spec = {}) const {
    return analyse_attributes(codes, segments, attributes, spec);
  }
};

std::string message(const std::function<void()>& f, ExitCode code) {
  try {
    f();
  } catch (const Error& e) {
    CHECK(e.code() == code);
    const std::string text = e.what();
    CHECK(text.find('\n') == text.npos);
    return text;
  }
  return "nothing was thrown";
}

}  // namespace

TEST_SUITE("attribute_analysis") {
  TEST_CASE("finds who tells what, and nothing else") {
    const Example example;
    const auto found = example.analyse();
    for (std::int64_t s = 0; s < found.segments(); ++s)
      for (std::int64_t a = 0; a < 3; ++a) {
        CAPTURE(s);
        CAPTURE(a);
        const bool told = (a == 0 && (s == 1 || s == 4)) || (a == 1 && s == 2);
        CHECK(found.significant(found.tell(s, a)) == told);
      }
    const auto& best = found.attributes[0].best;
    REQUIRE(best.size() == 3);
    CHECK(best[0].segment == 1);
    CHECK(best[1].segment == 4);
    CHECK(best[0].association.share > 0.4);
    CHECK(found.attributes[1].best[0].segment == 2);
    CHECK(found.attributes[0].known == static_cast<std::int64_t>(kImages));
  }

  TEST_CASE("units are named by the values they stand for") {
    const auto found = Example().analyse();
    std::size_t holding = 0;
    for (const UnitName& unit : found.names) {
      if (!unit.holds) continue;
      ++holding;
      CHECK((unit.segment == 1 || unit.segment == 2 || unit.segment == 4));
      CHECK(unit.purity() > unit.base());
      CHECK(unit.place / 2 == unit.value);
      CHECK(unit.attribute == (unit.segment == 2 ? 1 : 0));
    }
    CHECK(holding >= 8);  // 8 of segment 1, 6 of 2, 8 of 4, the surer ones
    for (const UnitName& unit : found.values)
      if (unit.holds && unit.attribute == 0) {
        CHECK(unit.segment == 1);
        CHECK(unit.recall() > 0.25);
      }
  }

  TEST_CASE("what is told twice is redundant; on images that did not choose") {
    const auto found = Example().analyse();
    const auto shared = [&](std::size_t s, std::size_t t) {
      return found.redundancy[s * kUnits.size() + t];
    };
    CHECK(shared(1, 1) == 1);
    CHECK(shared(1, 4) == shared(4, 1));
    CHECK(shared(1, 4) > 0.02);
    CHECK(within(std::abs(shared(0, 3)), 0.06));
    CHECK(within(std::abs(shared(1, 2)), 0.06));
    // A segment chosen among many for what is chance looks better than it is.
    double chosen = 0, reported = 0;
    const std::vector<std::int64_t> many(40, 8);
    for (std::uint32_t t = 0; t < 5; ++t) {
      const Attribute noise = test::random_attribute("noise", 100, 4, 9 + t);
      const auto analysis = analyse_attributes(
          test::random_codes(100, many, 50 + t), Segments::uneven(many), {&noise, 1},
          {.permutations = 99, .done = {}});
      for (const BestSegment& b : analysis.attributes[0].best)
        chosen += b.chosen_share / 15, reported += b.association.share / 15;
    }
    CHECK(chosen > 0.08);
    CHECK(within(std::abs(reported), 0.04));
  }

  TEST_CASE("a shuffled attribute is never called significant at 1 %") {
    std::vector<std::int64_t> units = kUnits;
    units.resize(40, 8);
    const Example example(units);
    std::size_t single = 0;
    for (std::uint32_t trial = 0; trial < 20; ++trial) {
      auto attributes = example.attributes;
      attributes.push_back(
          test::random_attribute("shuffled", kImages, 4, 100 + trial));
      const auto found =
          analyse_attributes(example.codes, example.segments, attributes,
                             {.permutations = 199, .seed = trial, .done = {}});
      for (std::int64_t s = 0; s < found.segments(); ++s) {
        CHECK_FALSE(found.significant(found.tell(s, 3)));
        single += found.tell(s, 3).p <= 0.01;
      }
      CHECK(found.significant(found.tell(1, 0)));
    }
    // 1 % of 800: the control is what keeps them out.
    CHECK(single >= 2);
  }

  TEST_CASE("no unit of codes that know nothing keeps its name") {
    const std::vector<std::int64_t> many(60, 8);
    std::size_t single = 0;
    for (std::uint32_t t = 0; t < 4; ++t) {
      const Attribute noise = test::random_attribute("noise", 400, 4, 20 + t);
      const auto found = analyse_attributes(
          test::random_codes(400, many, 70 + t), Segments::uneven(many), {&noise, 1},
          {.permutations = 99, .done = {}});
      for (const UnitName& unit : found.names) {
        CHECK_FALSE(unit.holds);
        single += unit.p <= 0.01;
      }
    }
    CHECK(single >= 2);  // of some 1900 names
  }

  TEST_CASE("the same bytes for any number of threads; other ones by the seed") {
    const Example example;
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    const std::string one = to_json(example.analyse());
    omp_set_num_threads(3);
    const std::string three = to_json(example.analyse());
    omp_set_num_threads(threads);
    CHECK(one == three);
    CHECK(to_json(example.analyse({.seed = 1, .done = {}})) != one);
  }

  TEST_CASE("images whose attribute is not known do not count") {
    Example example;
    auto& rows = example.attributes[0].rows;
    for (std::size_t i = 0; i < rows.size(); i += 3) rows[i] = -1;
    const auto found = example.analyse();
    CHECK(found.attributes[0].known == 400);
    CHECK(found.significant(found.tell(1, 0)));
    CHECK_FALSE(found.significant(found.tell(0, 0)));
  }

  TEST_CASE("how far it is can be followed") {
    std::vector<double> shares;
    Example().analyse({.done = [&](double share) { shares.push_back(share); }});
    CHECK(std::ranges::is_sorted(shares));
    CHECK(shares.back() == 1);
  }

  TEST_CASE("settings and data that make no test") {
    const Example example;
    CHECK(message([&] { example.analyse({.permutations = 50, .done = {}}); },
                  ExitCode::kUsage) ==
          "[attributes] 50 permutations show no p below 0.02, expected 99 at least for "
          "level 0.01");
    CHECK(message([&] { example.analyse({.level = 0, .done = {}}); },
                  ExitCode::kUsage)
              .starts_with("[attributes] 1000 permutations, level 0"));
    CHECK(message([&] {
            analyse_attributes(example.codes, example.segments, {}, {});
          }, ExitCode::kData) ==
          "[attributes] none of 0 attributes has two values in 600 images, expected "
          "one that has");
    Attribute one{.name = "o\nne", .values = {"a"}, .rows = {}, .bins = {}};
    one.rows.assign(kImages, 0);
    CHECK(message([&] {
            analyse_attributes(example.codes, example.segments, {&one, 1}, {});
          }, ExitCode::kData) ==
          "[attributes] none of 1 attribute has two values in 600 images, expected one "
          "that has");
    std::vector<Attribute> two{one, example.attributes[0]};
    const auto found = analyse_attributes(example.codes, example.segments, two, {});
    CHECK(found.attributes.size() == 1);
    CHECK(found.notes == std::vector<std::string>{
                             "'o\\x0ane' left out: it has one value or none in 600 "
                             "images"});
    CHECK(message([&] {
            analyse_attributes(std::span(example.codes).first(6 * 19),
                               example.segments, example.attributes, {});
          }, ExitCode::kData) == "[attributes] 19 images, expected 20 at least");
  }
}
