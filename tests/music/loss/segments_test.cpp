#include "music/loss/segments.h"

#include <doctest/doctest.h>

#include <string>

#include "engine/core/error.h"

namespace {

using music::Segments;

template <typename F>
std::string usage_error(F&& f) {
  try {
    f();
  } catch (const music::Error& e) {
    CHECK(e.code() == music::ExitCode::kUsage);
    return e.what();
  }
  return "no error";
}

}  // namespace

TEST_SUITE("segments") {
  TEST_CASE("equal segments") {
    const Segments s = Segments::equal(8160, 80);
    CHECK(s.count() == 102);
    CHECK(s.units() == 8160);
    CHECK(s.begin(101) == 8080);
    CHECK(s.size(101) == 80);
    CHECK(s.is_equal());
  }

  TEST_CASE("uneven segments") {
    const Segments s = Segments::uneven({3, 2, 5});
    CHECK(s.count() == 3);
    CHECK(s.units() == 10);
    CHECK(s.begin(2) == 5);
    CHECK(s.size(1) == 2);
    CHECK_FALSE(s.is_equal());
    CHECK(Segments::uneven({4, 4}).is_equal());
  }

  TEST_CASE("a D that does not divide names the nearest that do") {
    CHECK(usage_error([] { Segments::equal(8160, 64); }) ==
          "[coding] D 8160 does not divide into segments of 64: nearest D are "
          "8128 and 8192");
    CHECK(usage_error([] { Segments::equal(10, 16); }) ==
          "[coding] D 10 does not divide into segments of 16: nearest D is 16");
    CHECK(usage_error([] { Segments::equal(0, 16); }) ==
          "[coding] D 0: expected a multiple of 16");
  }

  TEST_CASE("sizes that are no segments") {
    CHECK(usage_error([] { Segments::equal(8, 1); }) ==
          "[coding] a segment of 1 units: expected at least 2");
    CHECK(usage_error([] { Segments::uneven({4, 0}); }) ==
          "[coding] a segment of 0 units: expected at least 2");
    CHECK(usage_error([] { Segments::uneven({}); }) ==
          "[coding] no segments: expected a list of sizes");
  }
}
