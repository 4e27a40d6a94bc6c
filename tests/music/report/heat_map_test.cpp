#include "music/report/heat_map.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "engine/core/error.h"

namespace {

using namespace music;
using Rgb = std::array<std::uint8_t, 3>;

constexpr Rgb kLow{16, 12, 112}, kHigh{248, 244, 56}, kMiddle{204, 68, 116},
    kGrey{128, 128, 128}, kWhite{255, 255, 255};

Rgb pixel(const data::Image& image, int x, int y) {
  const std::uint8_t* at = image.row(y) + 3 * x;
  return {at[0], at[1], at[2]};
}

TEST_SUITE("heat_map") {
  TEST_CASE("every pixel of a small matrix") {
    const std::vector<float> values{0, 0.5, 1, -3, 9, std::nanf("")};
    const data::Image image = heat_map(values, 3, {});
    REQUIRE(image.width() == 3);
    REQUIRE(image.height() == 2);
    CHECK(pixel(image, 0, 0) == kLow);
    CHECK(pixel(image, 1, 0) == kMiddle);
    CHECK(pixel(image, 2, 0) == kHigh);
    CHECK(pixel(image, 0, 1) == kLow);   // below the range
    CHECK(pixel(image, 1, 1) == kHigh);  // above it
    CHECK(pixel(image, 2, 1) == kGrey);
  }

  TEST_CASE("cells and borders have their pixels") {
    HeatMapSpec spec;
    spec.low = 1;
    spec.high = 3;
    spec.cell_width = 3;
    spec.cell_height = 2;
    spec.column_borders = {1, 3};
    spec.row_borders = {1};
    const std::vector<float> values{1, 2, 3, 1, 3, 2, 1, 3};
    const data::Image image = heat_map(values, 4, spec);
    REQUIRE(image.width() == 4 * 3 + 2);
    REQUIRE(image.height() == 2 * 2 + 1);
    const std::vector<std::vector<Rgb>> expected{{kLow, kMiddle, kHigh, kLow},
                                                 {kHigh, kMiddle, kLow, kHigh}};
    const std::vector<int> column{0, 0, 0, -1, 1, 1, 1, 2, 2, 2, -1, 3, 3, 3};
    const std::vector<int> row{0, 0, -1, 1, 1};
    for (int y = 0; y < image.height(); ++y)
      for (int x = 0; x < image.width(); ++x) {
        const int r = row[static_cast<std::size_t>(y)],
                  c = column[static_cast<std::size_t>(x)];
        CAPTURE(x);
        CAPTURE(y);
        CHECK(pixel(image, x, y) ==
              (r < 0 || c < 0 ? kWhite
                              : expected[static_cast<std::size_t>(r)]
                                        [static_cast<std::size_t>(c)]));
      }
  }

  TEST_CASE("colours grow lighter throughout and end where they should") {
    CHECK(heat_colour(0) == kLow);
    CHECK(heat_colour(-1) == kLow);
    CHECK(heat_colour(1) == kHigh);
    CHECK(heat_colour(7) == kHigh);
    double before = -1;
    for (int i = 0; i <= 60; ++i) {
      const Rgb rgb = heat_colour(i / 60.0);
      double light = 0;  // relative luminance
      const double weight[] = {0.2126, 0.7152, 0.0722};
      for (int c = 0; c < 3; ++c)
        light += weight[c] * std::pow(rgb[static_cast<std::size_t>(c)] / 255.0, 2.2);
      CHECK(light > before);
      before = light;
    }
  }

  TEST_CASE("a tenth of the largest") {
    CHECK(tenth_of_largest(std::vector<float>{-4, 2, 0.5}) == 0.2);
    CHECK(tenth_of_largest(std::vector<float>{0, -1}) == 1);
    CHECK(tenth_of_largest({}) == 1);
  }

  TEST_CASE("too large a picture") {
    HeatMapSpec spec;
    spec.cell_width = 40000;
    CHECK_THROWS_WITH_AS(
        heat_map(std::vector<float>{1}, 1, spec),
        "[picture] a heat map of 40000 x 1 pixels, expected at most 32767 a side",
        Error);
    CHECK_THROWS_AS(heat_map(std::vector<float>{1, 2, 3}, 2, {}), Error);
    spec = {};
    spec.row_borders = {1};
    CHECK_THROWS_AS(heat_map(std::vector<float>{1}, 1, spec), Error);
  }
}

}  // namespace
