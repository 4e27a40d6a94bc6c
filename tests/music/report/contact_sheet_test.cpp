#include "music/report/contact_sheet.h"

#include <doctest/doctest.h>

#include "engine/core/error.h"

namespace {

using namespace music;

data::Image filled(int width, int height, std::uint8_t value) {
  data::Image image;
  std::uint8_t* pixels = image.reset(width, height);
  std::fill(pixels, pixels + image.bytes(), value);
  return image;
}

int value(const ContactSheet& sheet, int x, int y) {
  return sheet.image().row(y)[3 * x];
}

TEST_SUITE("contact_sheet") {
  TEST_CASE("tiles stand where they should, on grey") {
    // Three entries of tiles 6 and 10 wide in two columns: rows 8 + (5 + 8) * 2.
    ContactSheet sheet(3, {{6, 10}, 5, 2});
    CHECK(sheet.image().width() == 8 + 2 * (6 + 4 + 10 + 4 + 8));
    CHECK(sheet.image().height() == 8 + 2 * (5 + 8));
    sheet.put(0, 0, filled(6, 5, 1));
    sheet.put(1, 1, filled(10, 5, 2));
    sheet.put(2, 1, filled(4, 3, 3));
    CHECK(value(sheet, 7, 8) == 96);
    CHECK(value(sheet, 8, 8) == 1);
    CHECK(value(sheet, 13, 12) == 1);
    CHECK(value(sheet, 14, 12) == 96);
    CHECK(value(sheet, 8, 13) == 96);
    const int second = 8 + 32;  // of an entry, then its second tile
    CHECK(value(sheet, second + 9, 8) == 96);
    CHECK(value(sheet, second + 10, 8) == 2);
    CHECK(value(sheet, second + 19, 12) == 2);
    CHECK(value(sheet, second + 20, 12) == 96);
    // 4 x 3 in the middle of 10 x 5, in the second row.
    CHECK(value(sheet, 8 + 10 + 2, 21 + 1) == 96);
    CHECK(value(sheet, 8 + 10 + 3, 21 + 1) == 3);
    CHECK(value(sheet, 8 + 10 + 6, 21 + 3) == 3);
    CHECK(value(sheet, 8 + 10 + 3, 21 + 4) == 96);
  }

  TEST_CASE("whole images fit and keep their aspect") {
    const auto size = [](int w, int h, int tile_w, int tile_h) {
      const FittedSize fitted = fit(filled(w, h, 0), tile_w, tile_h);
      return std::pair(fitted.width, fitted.height);
    };
    CHECK(size(40, 20, 10, 10) == std::pair(10, 5));
    CHECK(size(20, 40, 10, 10) == std::pair(5, 10));
    CHECK(size(5, 5, 10, 10) == std::pair(10, 10));
    CHECK(size(40, 20, 100, 10) == std::pair(20, 10));
    CHECK(size(3000, 1, 10, 10) == std::pair(10, 1));  // never nothing
    ContactSheet sheet(1, {{10}, 10, 1});
    sheet.put_whole(0, 0, filled(40, 20, 7));
    CHECK(value(sheet, 8, 8 + 1) == 96);
    CHECK(value(sheet, 8, 8 + 2) == 7);
    CHECK(value(sheet, 17, 8 + 6) == 7);
    CHECK(value(sheet, 17, 8 + 7) == 96);
  }

  TEST_CASE("what does not fit is refused") {
    ContactSheet sheet(1, {{4}, 4, 1});
    CHECK_THROWS_AS(sheet.put(0, 0, filled(5, 4, 1)), Error);
    CHECK_THROWS_WITH_AS(ContactSheet(10'000, {{96}, 96, 1}),
                         "[picture] a contact sheet of 116 x 1040008 pixels, expected "
                         "at most 32767 a side", Error);
  }
}

}  // namespace
