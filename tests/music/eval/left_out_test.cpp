// Images that a score is not of, on any number of processes.
#include "music/eval/left_out.h"

#include <doctest/doctest.h>

#include "tests/dist/world.h"

namespace {

using namespace music;

data::BadSample bad(std::int64_t sample) {
  return {0, sample, "image " + std::to_string(sample), "why"};
}

TEST_SUITE_BEGIN("left_out");

TEST_CASE("the count and the first three, in the data's order") {
  const LeftOut none;
  CHECK(describe(none, 9, "test").empty());
  const LeftOut one(std::vector{bad(4)});
  CHECK(describe(one, 9, "test") ==
        "1 of 9 test images cannot be read and is left out: image 4 (why)");
  const LeftOut many(std::vector{bad(7), bad(1), bad(5), bad(3)});
  CHECK(many.count == 4);
  CHECK(describe(many, 1000, "training") ==
        "4 of 1000 training images cannot be read and are left out: image 1 (why), "
        "image 3 (why), image 5 (why), ...");
}

TEST_CASE("those of all processes are one list on each") {
  auto& world = test::world();
  const int rank = world.rank(), size = world.size();
  // Rank r has 2 r, in its part; the first none.
  std::vector<data::BadSample> mine;
  for (int i = 0; i < 2 * rank; ++i) mine.push_back(bad(100 * rank + i));
  if (rank == 1) mine[0].name = "two\nlines";
  const LeftOut all = gather(LeftOut(mine), world);
  CHECK(all.count == size * (size - 1));
  REQUIRE(std::ssize(all.first) == std::min(3, size * (size - 1)));
  if (size > 1) {
    CHECK(all.first[0].name == "two\\x0alines");
    CHECK(all.first[1].sample == 101);
    CHECK(all.first[1].reason == "why");
  }
}

TEST_SUITE_END();

}  // namespace
