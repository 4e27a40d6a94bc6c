// What is drawn for a view: ranges, keys, purity. How it is distributed:
// distribution_test.cpp.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "data/augment.h"

TEST_SUITE("augment") {
  using namespace music::data;

  ViewParameters draw(const AugmentSpec& spec, std::uint32_t sample, int view,
                      int width = 500, int height = 375) {
    return sample_view(spec, 7, 3, sample, view, width, height);
  }

  TEST_CASE("crops: area and aspect in range, all positions reached") {
    AugmentSpec spec;
    int left = 0, right = 0;
    constexpr int kN = 20000;
    for (std::uint32_t i = 0; i < kN; ++i) {
      const Box c = draw(spec, i, 1).crop;
      REQUIRE(c.x >= 0);
      REQUIRE(c.y >= 0);
      REQUIRE(c.x + c.width <= 500);
      REQUIRE(c.y + c.height <= 375);
      const double area = static_cast<double>(c.width) * c.height / (500 * 375);
      const double aspect = static_cast<double>(c.width) / c.height;
      CHECK(area > 0.08 * 0.98);
      CHECK(aspect > 0.75 * 0.98);
      CHECK(aspect < 4.0 / 3 * 1.02);
      left += c.x == 0;
      right += c.x + c.width == 500;
    }
    CHECK(left > 0);
    CHECK(right > 0);
  }

  TEST_CASE("an image too long for any crop: the largest centred one") {
    AugmentSpec spec;
    spec.scale = {0.9, 1.0};
    const Box wide = draw(spec, 0, 0, 1000, 30).crop;
    CHECK(wide.width == 40);
    CHECK(wide.height == 30);
    CHECK(wide.x == 480);
    CHECK(wide.y == 0);
    const Box tall = draw(spec, 0, 0, 30, 1000).crop;
    CHECK(tall.width == 30);
    CHECK(tall.height == 40);
    CHECK(tall.y == 480);
    const Box dot = draw(spec, 0, 0, 1, 1).crop;
    CHECK(dot.width == 1);
    CHECK(dot.height == 1);
  }

  TEST_CASE("views, samples and epochs are independent, calls repeatable") {
    AugmentSpec spec;
    spec.jitter = 1;
    const auto hue = [&](std::uint64_t seed, std::uint32_t epoch,
                         std::uint32_t sample, int view) {
      return sample_view(spec, seed, epoch, sample, view, 64, 64).hue;
    };
    CHECK(hue(1, 2, 3, 0) == hue(1, 2, 3, 0));
    CHECK(hue(1, 2, 3, 0) != hue(1, 2, 3, 1));
    CHECK(hue(1, 2, 3, 0) != hue(1, 2, 4, 0));
    CHECK(hue(1, 2, 3, 0) != hue(1, 3, 3, 0));
    CHECK(hue(1, 2, 3, 0) != hue(2, 2, 3, 0));
    // Turning one operation off leaves what the others draw.
    AugmentSpec off = spec;
    off.flip = 0;
    off.blur = {0, 0};
    CHECK(sample_view(off, 1, 2, 3, 0, 64, 64).hue == hue(1, 2, 3, 0));
  }

  TEST_CASE("no operation, a crop of the output's size: the image itself") {
    AugmentSpec spec;
    spec.size = 16;
    spec.scale = {1, 1};
    spec.ratio = {1, 1};
    spec.flip = spec.jitter = spec.grayscale = 0;
    spec.blur = spec.solarize = {0, 0};
    Image image;
    std::uint8_t* pixels = image.reset(16, 16);
    for (std::size_t i = 0; i < image.bytes(); ++i)
      pixels[i] = static_cast<std::uint8_t>(i * 31);
    AugmentScratch scratch;
    std::vector<std::uint8_t> out(image.bytes());
    apply_view(image, draw(spec, 0, 0, 16, 16), spec, out.data(), scratch);
    CHECK(std::equal(out.begin(), out.end(), image.data()));
  }
}
