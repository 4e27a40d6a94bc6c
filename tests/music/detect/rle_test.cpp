// Masks as run lengths, against pycocotools and against pixels.
#include "music/detect/rle.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "music/detect/polygon.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using namespace music::detect;

nlohmann::json goldens() {
  std::ifstream in(MUSIC_TEST_SOURCE_DIR "/golden/coco/masks.json");
  REQUIRE(in.good());
  return nlohmann::json::parse(in);
}

using Pixels = std::vector<std::uint8_t>;

Pixels random_pixels(std::uint32_t h, std::uint32_t w, std::uint32_t seed) {
  Rng rng(1, RngPurpose::kTest, seed);
  const float share = rng.uniform();
  Pixels p(std::size_t{h} * w);
  for (auto& v : p) v = rng.uniform() < share;
  return p;
}

std::size_t count(const Pixels& p) {
  return static_cast<std::size_t>(std::count(p.begin(), p.end(), 1));
}

// Of a rectangle's corners.
Rle rectangle(double x0, double y0, double x1, double y1, std::uint32_t side) {
  const double points[] = {x0, y0, x1, y0, x1, y1, x0, y1};
  return rle_from_polygon(points, side, side);
}

TEST_SUITE("rle") {
  TEST_CASE("polygons are filled as by pycocotools") {
    const auto all = goldens();
    CHECK(all["single"].size() == 80);
    for (const auto& g : all["single"]) {
      const std::uint32_t h = g["size"][0], w = g["size"][1];
      const std::vector<double> points = g["polygon"];
      CAPTURE(g["polygon"].dump());
      const Rle mask = rle_from_polygon(points, h, w);
      CHECK(rle_to_text(mask) == g["counts"]);
      CHECK(rle_from_text(g["counts"].get<std::string>(), h, w) == mask);
      CHECK(rle_area(mask) == g["area"]);
      const std::array<double, 4> box = g["box"];
      CHECK(rle_box(mask) == box);
      Pixels pixels;
      for (const auto& row : g["rows"])
        for (const char c : row.get<std::string>()) pixels.push_back(c == '1');
      CHECK(rle_to_pixels(mask) == pixels);
      CHECK(rle_to_pixels(rle_from_pixels(pixels, h, w)) == pixels);
    }
  }

  TEST_CASE("union, intersection and overlap of pairs are pycocotools'") {
    const auto all = goldens();
    CHECK(all["pairs"].size() == 40);
    for (const auto& g : all["pairs"]) {
      const std::uint32_t h = g["size"][0], w = g["size"][1];
      const auto read = [&](const char* key) {
        return rle_from_text(g[key].get<std::string>(), h, w);
      };
      const std::vector<Rle> pair{read("a"), read("b")};
      CHECK(rle_to_text(rle_merge(pair)) == g["any"]);
      CHECK(rle_to_text(rle_merge(pair, true)) == g["both"]);
      CHECK(rle_iou(pair[0], pair[1], false) == g["iou"].get<double>());
      CHECK(rle_iou(pair[0], pair[1], true) == g["crowd"].get<double>());
    }
  }

  TEST_CASE("pixels, text and counts of random masks") {
    for (std::uint32_t i = 0; i < 200; ++i) {
      const std::uint32_t h = 1 + i % 13, w = 1 + i * 7 % 11;
      const Pixels a = random_pixels(h, w, 2 * i);
      const Pixels b = random_pixels(h, w, 2 * i + 1);
      const Rle p = rle_from_pixels(a, h, w), q = rle_from_pixels(b, h, w);
      CHECK(rle_to_pixels(p) == a);
      CHECK(rle_from_text(rle_to_text(p), h, w) == p);
      CHECK(rle_area(p) == count(a));
      Pixels any(a), both(a);
      for (std::size_t k = 0; k < a.size(); ++k) {
        any[k] |= b[k];
        both[k] &= b[k];
      }
      const Rle pair[] = {p, q};
      CHECK(rle_to_pixels(rle_merge(pair)) == any);
      CHECK(rle_to_pixels(rle_merge(pair, true)) == both);
      const double expected =
          count(both) == 0 ? 0
                           : static_cast<double>(count(both)) /
                                 static_cast<double>(count(any));
      CHECK(rle_iou(p, q, false) == expected);
      // The tight box by looking at every pixel.
      std::uint32_t left = w, right = 0, top = h, bottom = 0;
      for (std::uint32_t y = 0; y < h; ++y)
        for (std::uint32_t x = 0; x < w; ++x)
          if (a[std::size_t{y} * w + x]) {
            left = std::min(left, x), right = std::max(right, x + 1);
            top = std::min(top, y), bottom = std::max(bottom, y + 1);
          }
      std::array<double, 4> box{};
      if (right > 0)
        box = {static_cast<double>(left), static_cast<double>(top),
               static_cast<double>(right - left),
               static_cast<double>(bottom - top)};
      CHECK(rle_box(p) == box);
    }
  }

  TEST_CASE("the worked examples") {
    const Rle crowd{130 / 5, 5, {6, 1, 40, 4, 5, 4, 5, 4, 21, 40}};
    CHECK(rle_to_text(crowd).substr(0, 12) == "61X13mN000`0");
    CHECK(rle_to_text({1, 3, {0, 1, 1, 1}}) == "0110");
    CHECK(rle_area(rectangle(2, 2, 5, 5, 10)) == 9);
    CHECK(rle_box(rectangle(2.5, 2.5, 5.5, 5.5, 10)) ==
          std::array<double, 4>{3, 3, 3, 3});
    // Runs of nothing within a mask; large counts.
    const Rle gaps = rle_from_text(rle_to_text({2, 3, {1, 0, 1, 2, 0, 2}}), 2, 3);
    CHECK(gaps.counts == std::vector<std::uint32_t>{1, 0, 1, 2, 0, 2});
    CHECK(rle_area(gaps) == 4);
    CHECK(rle_iou(gaps, {2, 3, {2, 4}}, false) == 1);
    CHECK(rle_box(gaps) == std::array<double, 4>{1, 0, 2, 2});
    const Rle large{65535, 65535, {4294836225u - 5, 5}};
    CHECK(rle_from_text(rle_to_text(large), 65535, 65535) == large);
    CHECK(rle_area(large) == 5);
  }

  TEST_CASE("text that is no mask is an error") {
    const auto said = [](std::string_view text) -> std::string {
      try {
        rle_from_text(text, 4, 5);
      } catch (const Error& e) {
        CHECK(e.code() == ExitCode::kData);
        return e.what();
      }
      return "";
    };
    CHECK(said("d0") == "");  // one run of 20
    CHECK(said("") == "run lengths add up to 0, expected 20 (4 x 5)");
    CHECK(said("c0") == "run lengths add up to 19, expected 20 (4 x 5)");
    CHECK(said("d") == "run lengths end within a number");
    CHECK(said("p") ==
          "run lengths hold the character 'p', expected '0' to 'o'");
    CHECK(said("/0") ==
          "run lengths hold the character '/', expected '0' to 'o'");
    CHECK(said("oooooooo0") ==
          "run lengths hold a number of more than seven characters");
    CHECK(said("O") == "run length 0 is -1, expected 0 to 20");
    CHECK(said("0000O") == "run length 4 is -1, expected 0 to 20");
  }
}

}  // namespace
