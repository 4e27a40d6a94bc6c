// What is drawn for a view: ranges, probabilities, independence, purity.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <vector>

#include "data/augment.h"

TEST_SUITE("augment") {
  using namespace music::data;

  ViewParameters draw(const AugmentSpec& spec, std::uint32_t sample, int view,
                      int width = 500, int height = 375) {
    return sample_view(spec, 7, 3, sample, view, width, height);
  }

  // Share of true within four standard deviations of p.
  void check_share(int count, int n, double p) {
    const double tolerance = 4 * std::sqrt(p * (1 - p) / n) + 1e-12;
    CHECK(std::abs(static_cast<double>(count) / n - p) <= tolerance);
  }

  TEST_CASE("probabilities of both views are the specified ones") {
    AugmentSpec spec;
    constexpr int kN = 20000;
    for (int view = 0; view < 2; ++view) {
      int flip = 0, jitter = 0, gray = 0, blur = 0, solar = 0;
      std::map<std::array<ViewParameters::ColourOp, 4>, int> orders;
      for (std::uint32_t i = 0; i < kN; ++i) {
        const ViewParameters p = draw(spec, i, view);
        flip += p.flip;
        jitter += p.jitter;
        gray += p.grayscale;
        blur += p.blur_sigma > 0;
        solar += p.solarize;
        if (p.jitter) ++orders[p.order];
      }
      check_share(flip, kN, 0.5);
      check_share(jitter, kN, 0.8);
      check_share(gray, kN, 0.2);
      check_share(blur, kN, view == 0 ? 1.0 : 0.1);
      check_share(solar, kN, view == 0 ? 0.0 : 0.2);
      CHECK(orders.size() == 24);
      for (const auto& [order, count] : orders)
        check_share(count, jitter, 1.0 / 24);
    }
  }

  TEST_CASE("factors are uniform on their ranges") {
    AugmentSpec spec;
    spec.jitter = 1;
    constexpr int kN = 20000;
    double sum[5] = {}, low[5], high[5];
    std::fill_n(low, 5, 1e9);
    std::fill_n(high, 5, -1e9);
    for (std::uint32_t i = 0; i < kN; ++i) {
      const ViewParameters p = draw(spec, i, 0);
      const double value[5] = {p.brightness, p.contrast, p.saturation, p.hue,
                               p.blur_sigma};
      for (int k = 0; k < 5; ++k) {
        sum[k] += value[k];
        low[k] = std::min(low[k], value[k]);
        high[k] = std::max(high[k], value[k]);
      }
    }
    const double from[5] = {0.6, 0.6, 0.8, -0.1, 0.1};
    const double to[5] = {1.4, 1.4, 1.2, 0.1, 2.0};
    for (int k = 0; k < 5; ++k) {
      const double width = to[k] - from[k];
      CHECK(low[k] >= from[k]);
      CHECK(low[k] < from[k] + 0.01 * width);
      CHECK(high[k] <= to[k]);
      CHECK(high[k] > to[k] - 0.01 * width);
      CHECK(std::abs(sum[k] / kN - (from[k] + to[k]) / 2) <
            4 * width / std::sqrt(12.0 * kN));
    }
  }

  TEST_CASE("crops: area and aspect in range, all positions reached") {
    AugmentSpec spec;
    double areas = 0;
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
      areas += area;
      left += c.x == 0;
      right += c.x + c.width == 500;
    }
    // torchvision's own get_params gives 0.435 on 500 x 375 (large crops that
    // do not fit are drawn again).
    CHECK(areas / kN == doctest::Approx(0.435).epsilon(0.02));
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
