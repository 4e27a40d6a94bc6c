// Search among codes against one image and one segment at a time.
#include "music/codes/code_index.h"

#include <doctest/doctest.h>

#include <numeric>

#include "engine/core/error.h"
#include "tests/support/reference_search.h"

namespace {

using namespace music;
using namespace music::test;

CodeIndex index_of(const Codes& codes, const Segments& segments) {
  CodeIndex index(segments);
  for (const auto& code : codes) index.add(code);
  return index;
}

std::vector<int> all_of(const Segments& segments) {
  std::vector<int> all(static_cast<std::size_t>(segments.count()));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

struct Case {
  const char* what;
  Segments segments;
  std::int64_t images, few;
};

std::vector<Case> cases() {
  return {{"equal segments", Segments::equal(16 * 32, 32), 3000, 32},
          {"uneven segments", Segments::uneven({2, 7, 256, 3, 40}), 2500, 4},
          {"wide segments", Segments::uneven({300, 2, 1000}), 2100, 5},
          {"a single segment", Segments::equal(8, 8), 1500, 8},
          {"more segments than a byte counts", Segments::equal(600 * 2, 2), 1100, 2},
          {"a tile, no more", Segments::equal(12, 4), kCodeTile, 4},
          {"one image", Segments::equal(12, 4), 1, 4}};
}

}  // namespace

TEST_SUITE("code_index") {

TEST_CASE("nearest codes, by all segments and by some") {
  for (const Case& c : cases()) {
    CAPTURE(c.what);
    const Codes codes = made_codes(c.segments, c.images, 1, c.few);
    const CodeIndex index = index_of(codes, c.segments);
    REQUIRE(index.size() == c.images);
    for (std::int64_t i = 0; i < c.images; i += 1 + c.images / 7) {
      CodeQuery query{{}, {}, codes[static_cast<std::size_t>(i)], all_of(c.segments), i};
      for (const std::int64_t k : {1, 5, 4000})
        CHECK(index.find(query, k) == reference_find(codes, query, k));
      query.except = -1;
      CHECK(index.find(query, 3) == reference_find(codes, query, 3));
      query.ranked = {static_cast<int>(c.segments.count()) - 1};
      CHECK(index.find(query, 9) == reference_find(codes, query, 9));
      query.ranked = {};
      CHECK(index.find(query, 9) == reference_find(codes, query, 9));
    }
  }
}

TEST_CASE("conditions, alone and together") {
  for (const Case& c : cases()) {
    CAPTURE(c.what);
    const Codes codes = made_codes(c.segments, c.images, 2, c.few);
    const CodeIndex index = index_of(codes, c.segments);
    const auto last = static_cast<int>(c.segments.count()) - 1;
    const std::vector<std::uint16_t>& code = codes[codes.size() / 2];
    const SegmentUnit first{0, code.front()}, end{last, code.back()};
    for (const bool ranked : {true, false}) {
      for (const CodeQuery& q : {CodeQuery{{first}, {}, code, {}, -1},
                                 CodeQuery{{first, end}, {}, code, {}, 0},
                                 CodeQuery{{}, {end}, code, {}, 3},
                                 CodeQuery{{first}, {end}, code, {},
                                           static_cast<std::int64_t>(codes.size() / 2)},
                                 CodeQuery{{first, {0, code[0] == 0 ? 1 : 0}}, {}, code,
                                           {}, -1}}) {
        CodeQuery query = q;
        if (ranked) query.ranked = all_of(c.segments);
        CHECK(index.find(query, 10) == reference_find(codes, query, 10));
        CHECK(index.find(query, 100000) == reference_find(codes, query, 100000));
      }
    }
  }
}

TEST_CASE("neighbours of all images") {
  for (const Case& c : cases()) {
    if (c.images == 1) continue;
    CAPTURE(c.what);
    const Codes codes = made_codes(c.segments, c.images, 3, c.few);
    const CodeIndex index = index_of(codes, c.segments);
    constexpr std::int64_t kNearest = 4;
    std::vector<CodeMatch> out(static_cast<std::size_t>(c.images * kNearest));
    double last = 0;
    index.neighbours(kNearest, out, [&](double done) {
      CHECK(done > last);
      last = done;
    });
    CHECK(last == 1);
    std::int64_t differ = 0;
    for (std::int64_t i = 0; i < c.images; i += 13) {
      const auto expected = reference_find(
          codes, {{}, {}, codes[static_cast<std::size_t>(i)], all_of(c.segments), i},
          kNearest);
      differ += !std::equal(expected.begin(), expected.end(), out.begin() + i * kNearest);
    }
    CHECK(differ == 0);
  }
}

TEST_CASE("codes come back; postings hold each image once a segment") {
  for (const Case& c : cases()) {
    CAPTURE(c.what);
    const Codes codes = made_codes(c.segments, c.images, 4, c.few);
    const CodeIndex index = index_of(codes, c.segments);
    for (std::int64_t i = 0; i < c.images; i += 11)
      CHECK(index.code(i) == codes[static_cast<std::size_t>(i)]);
    for (std::int64_t s = 0; s < std::min<std::int64_t>(c.segments.count(), 5); ++s) {
      const SegmentPostings p = index.postings(s);
      REQUIRE(std::ssize(p.begin) == c.segments.size(s) + 1);
      CHECK(p.begin.back() == c.images);
      std::vector<std::int32_t> expected;
      for (std::int64_t u = 0; u < c.segments.size(s); ++u)
        for (std::size_t i = 0; i < codes.size(); ++i)
          if (codes[i][static_cast<std::size_t>(s)] == u) {
            CHECK(std::ssize(expected) >= p.begin[static_cast<std::size_t>(u)]);
            CHECK(std::ssize(expected) < p.begin[static_cast<std::size_t>(u) + 1]);
            expected.push_back(static_cast<std::int32_t>(i));
          }
      CHECK(p.images == expected);
    }
  }
}

TEST_CASE("what is not there is an error of one line") {
  const Segments segments = Segments::uneven({3, 4});
  CodeIndex index(segments);
  const std::vector<std::uint16_t> bad{0, 4}, good{2, 3};
  CHECK_THROWS_WITH_AS(index.add(bad),
                       "[codes] image 0 has unit 4 in segment 1, expected less than 4",
                       Error);
  CHECK(index.size() == 0);
  index.add(good);
  CHECK_THROWS_WITH_AS(index.find({{{2, 0}}, {}, good, {}, -1}, 1),
                       "[codes] segment 2, expected 0 to 1", Error);
  CHECK_THROWS_WITH_AS(index.find({{}, {{0, 3}}, good, {}, -1}, 1),
                       "[codes] unit 3 of segment 0, expected 0 to 2", Error);
  CHECK_THROWS_AS(index.find({{}, {}, good, {-1}, -1}, 1), Error);
}

}  // TEST_SUITE
