// Counts, sureness and exemplars of units, by hand.
#include "music/codes/unit_table.h"

#include <doctest/doctest.h>

TEST_SUITE("unit_table") {

TEST_CASE("units of four images") {
  using namespace music;
  UnitTable table(Segments::uneven({2, 3}), 2);
  const float q[4][5] = {{0.75f, 0.25f, 0.5f, 0.25f, 0.25f},
                         {0.75f, 0.25f, 0.25f, 0.5f, 0.25f},
                         {0.25f, 0.75f, 1.f, 0.f, 0.f},
                         {1.f, 0.f, 0.5f, 0.25f, 0.25f}};
  const std::uint16_t codes[4][2] = {{0, 0}, {0, 1}, {1, 0}, {0, 0}};
  for (int i = 0; i < 4; ++i) table.add(q[i], codes[i]);
  CHECK(table.images() == 4);
  CHECK(table.count(0) == 3);
  CHECK(table.count(1) == 1);
  CHECK(table.count(2) == 3);
  CHECK(table.count(4) == 0);
  CHECK(table.confidence(0) == doctest::Approx(2.5 / 3));
  CHECK(table.confidence(2) == doctest::Approx(2.0 / 3));
  CHECK(table.confidence(4) == 0);
  // The surest first, of equals the first; also of a unit that no image has.
  CHECK(table.exemplars(0)[0].image == 3);
  CHECK(table.exemplars(0)[1].image == 0);
  CHECK(table.exemplars(2)[0].image == 2);
  CHECK(table.exemplars(2)[1].image == 0);
  CHECK(table.exemplars(4)[0].image == 0);
  CHECK(table.exemplars(4)[0].q == 0.25f);
  CHECK(table.exemplars(4)[1].image == 1);
}

TEST_CASE("no exemplars are kept where none are asked for") {
  music::UnitTable table(music::Segments::equal(2, 2), 0);
  const float q[] = {0.5f, 0.5f};
  const std::uint16_t code[] = {0};
  table.add(q, code);
  CHECK(table.count(0) == 1);
  CHECK(table.exemplars(0).empty());
}

}  // TEST_SUITE
