// What is drawn for views, 100,000 times, against the distributions that
// torchvision's transforms have: Kolmogorov-Smirnov and chi-square tests, each
// at p > 0.001. The keys are fixed, so the outcome is.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "data/augment.h"
#include "tests/support/margin.h"

TEST_SUITE("distribution") {
  using namespace music::data;
  using music::test::within;
  using Draws = std::vector<double>;

  constexpr std::uint32_t kDraws = 100'000;
  constexpr double kLeast = 1e-3;

  static ViewParameters draw(const AugmentSpec& spec, std::uint32_t sample,
                             int view, int width = 500, int height = 375) {
    return sample_view(spec, 7, 3, sample, view, width, height);
  }

  // Of a statistic of Kolmogorov's distribution (Kolmogorov 1933).
  static double kolmogorov_p(double x) {
    double p = 0;
    for (int k = 1; k <= 100; ++k)
      p += (k % 2 ? 2 : -2) * std::exp(-2.0 * k * k * x * x);
    return x < 0.2 ? 1 : std::clamp(p, 0.0, 1.0);
  }

  // The largest distance from the uniform distribution on [low, high].
  static void check_uniform(const std::string& what, Draws draws, double low,
                            double high) {
    CAPTURE(what);
    std::sort(draws.begin(), draws.end());
    CHECK(draws.front() >= low);
    CHECK(draws.back() <= high);
    const auto n = static_cast<double>(draws.size());
    double distance = 0;
    for (std::size_t i = 0; i < draws.size(); ++i) {
      const double share = (draws[i] - low) / (high - low);
      const auto at = static_cast<double>(i);
      distance = std::max({distance, share - at / n, (at + 1) / n - share});
    }
    const double p = kolmogorov_p(distance * std::sqrt(n));
    MESSAGE(what << ": n = " << n << ", p = " << p);
    CHECK(within(kLeast, p, what));
  }

  // Two samples of equal size, ties allowed.
  static void check_equal(const std::string& what, Draws a, Draws b) {
    CAPTURE(what);
    REQUIRE(a.size() == b.size());
    std::sort(a.begin(), a.end());
    std::sort(b.begin(), b.end());
    std::size_t i = 0, j = 0;
    double distance = 0;
    const auto n = static_cast<double>(a.size());
    while (i < a.size() && j < b.size()) {
      const double at = std::min(a[i], b[j]);
      while (i < a.size() && a[i] <= at) ++i;
      while (j < b.size() && b[j] <= at) ++j;
      distance = std::max(distance, std::abs(static_cast<double>(i) -
                                             static_cast<double>(j)) / n);
    }
    const double p = kolmogorov_p(distance * std::sqrt(n / 2));
    MESSAGE(what << ": n = " << n << ", p = " << p);
    CHECK(within(kLeast, p, what));
  }

  // Counts of cells against their probabilities.
  static void check_counts(const std::string& what,
                           const std::vector<double>& counts,
                           const std::vector<double>& shares) {
    CAPTURE(what);
    REQUIRE(counts.size() == shares.size());
    double n = 0, sum = 0, cells = 0;
    for (const double count : counts) n += count;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const double expected = n * shares[i];
      if (expected == 0) {
        CHECK(counts[i] == 0);
        continue;
      }
      sum += (counts[i] - expected) * (counts[i] - expected) / expected;
      ++cells;
    }
    // Wilson and Hilferty's approximation; exact for two cells and for one.
    const double k = cells - 1;
    const double z =
        (std::cbrt(sum / k) - 1 + 2 / (9 * k)) / std::sqrt(2 / (9 * k));
    const double p = cells < 2    ? 1
                     : cells == 2 ? std::erfc(std::sqrt(sum / 2))
                                  : 0.5 * std::erfc(z / std::sqrt(2.0));
    MESSAGE(what << ": " << cells << " cells, n = " << n << ", p = " << p);
    CHECK(within(kLeast, p, what));
  }

  TEST_CASE("operations come with their probabilities, independently") {
    const AugmentSpec spec;
    for (const int view : {0, 1}) {
      const auto v = static_cast<std::size_t>(view);
      const double share[5] = {spec.flip, spec.jitter, spec.grayscale,
                               spec.blur[v], spec.solarize[v]};
      std::vector<double> cells(32, 0.0), expected(32, 1.0);
      std::map<std::array<ViewParameters::ColourOp, 4>, double> orders;
      for (std::uint32_t i = 0; i < kDraws; ++i) {
        const ViewParameters p = draw(spec, i, view);
        ++cells[p.flip + 2u * p.jitter + 4u * p.grayscale +
                8u * (p.blur_sigma > 0) + 16u * p.solarize];
        if (p.jitter) ++orders[p.order];
      }
      for (std::size_t c = 0; c < 32; ++c)
        for (std::size_t k = 0; k < 5; ++k)
          expected[c] *= c >> k & 1 ? share[k] : 1 - share[k];
      check_counts("which operations", cells, expected);
      CHECK(orders.size() == 24);
      std::vector<double> counts;
      for (const auto& [order, count] : orders) counts.push_back(count);
      check_counts("order of the jitter", counts,
                   std::vector<double>(counts.size(), 1.0 / 24));
    }
  }

  TEST_CASE("factors are uniform on their ranges") {
    AugmentSpec spec;
    spec.jitter = 1;
    Draws brightness, contrast, saturation, hue, sigma;
    for (std::uint32_t i = 0; i < kDraws; ++i) {
      const ViewParameters p = draw(spec, i, 0);
      brightness.push_back(p.brightness);
      contrast.push_back(p.contrast);
      saturation.push_back(p.saturation);
      hue.push_back(p.hue);
      sigma.push_back(p.blur_sigma);
    }
    check_uniform("brightness", brightness, 0.6, 1.4);
    check_uniform("contrast", contrast, 0.6, 1.4);
    check_uniform("saturation", saturation, 0.8, 1.2);
    check_uniform("hue", hue, -0.1, 0.1);
    check_uniform("blur", sigma, 0.1, 2.0);
  }

  TEST_CASE("views, and samples that follow each other, are independent") {
    AugmentSpec spec;
    spec.jitter = 1;
    const auto tenth = [](const ViewParameters& p) {
      return std::min(9, static_cast<int>((p.hue + 0.1) * 50));
    };
    std::vector<double> views(100, 0.0), samples(100, 0.0), ops(100, 0.0);
    for (std::uint32_t i = 0; i < kDraws; ++i) {
      const ViewParameters p = draw(spec, 2 * i, 0);
      const auto at = [&](int other) {
        return static_cast<std::size_t>(10 * tenth(p) + other);
      };
      ++views[at(tenth(draw(spec, 2 * i, 1)))];
      ++samples[at(tenth(draw(spec, 2 * i + 1, 0)))];
      ++ops[at(std::min(9, static_cast<int>((p.blur_sigma - 0.1) / 0.19)))];
    }
    const std::vector<double> even(100, 0.01);
    check_counts("hue of both views", views, even);
    check_counts("hue of two samples", samples, even);
    check_counts("hue and blur", ops, even);
  }

  // So large that rounding to pixels does not count, and every crop fits.
  TEST_CASE("crops: area, log of the aspect and place are uniform") {
    AugmentSpec spec;
    spec.scale = {0.08, 0.5};
    constexpr int kSide = 30'000;
    Draws area, aspect, x, y;
    for (std::uint32_t i = 0; i < kDraws; ++i) {
      const Box c = draw(spec, i, 1, kSide, kSide).crop;
      area.push_back(std::clamp(
          static_cast<double>(c.width) * c.height / kSide / kSide, 0.08, 0.5));
      aspect.push_back(std::clamp(
          std::log(static_cast<double>(c.width) / c.height),
          std::log(0.75), -std::log(0.75)));
      x.push_back((c.x + 0.5) / (kSide - c.width + 1));
      y.push_back((c.y + 0.5) / (kSide - c.height + 1));
    }
    check_uniform("area", area, 0.08, 0.5);
    check_uniform("log of the aspect", aspect, std::log(0.75),
                  -std::log(0.75));
    check_uniform("x", x, 0, 1);
    check_uniform("y", y, 0, 1);
  }

  // RandomResizedCrop.get_params, written down once more.
  static Box expected_crop(std::mt19937_64& random, int width, int height) {
    const auto uniform = [&](double low, double high) {
      return std::uniform_real_distribution<double>(low, high)(random);
    };
    for (int attempt = 0; attempt < 10; ++attempt) {
      const double area = uniform(0.08, 1.0) * width * height;
      const double aspect = std::exp(uniform(std::log(0.75), -std::log(0.75)));
      const auto w = static_cast<int>(std::lrint(std::sqrt(area * aspect)));
      const auto h = static_cast<int>(std::lrint(std::sqrt(area / aspect)));
      if (w == 0 || w > width || h == 0 || h > height) continue;
      return {std::uniform_int_distribution<int>(0, width - w)(random),
              std::uniform_int_distribution<int>(0, height - h)(random), w, h};
    }
    const int w = std::min(width, static_cast<int>(std::lrint(height / 0.75)));
    const int h = std::min(height, static_cast<int>(std::lrint(width / 0.75)));
    return {(width - w) / 2, (height - h) / 2, w, h};
  }

  TEST_CASE("crops that do not fit are drawn again, ten times") {
    const AugmentSpec spec;
    for (const auto& [width, height] : {std::pair{500, 375}, {150, 900}}) {
      std::mt19937_64 random(1);
      Draws ours[4], theirs[4];
      const auto add = [](Draws* to, const Box& c) {
        to[0].push_back(static_cast<double>(c.width) * c.height);
        to[1].push_back(static_cast<double>(c.width) / c.height);
        to[2].push_back(c.x);
        to[3].push_back(c.y);
      };
      for (std::uint32_t i = 0; i < kDraws; ++i) {
        add(ours, draw(spec, i, 0, width, height).crop);
        add(theirs, expected_crop(random, width, height));
      }
      const char* const names[4] = {"area", "aspect", "x", "y"};
      for (std::size_t k = 0; k < 4; ++k)
        check_equal(std::to_string(width) + " x " + std::to_string(height) +
                        ", " + names[k],
                    ours[k], theirs[k]);
    }
  }
}
