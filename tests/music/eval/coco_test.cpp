// COCO's scores: against pycocotools on stored files, against a naive
// reference, on cases made by hand.
#include <doctest/doctest.h>
#include <omp.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/core/rng.h"
#include "music/eval/coco/summary.h"
#include "tests/data/sha256.h"
#include "tests/support/coco_files.h"
#include "tests/support/margin.h"
#include "tests/support/reference_coco.h"

namespace {

using namespace music;
using namespace music::coco;
using music::test::annotation;
using music::test::CocoFiles;
using music::test::found;
using music::test::Json;
using music::test::near;
using music::test::truth_of;

constexpr double kTolerance = 1e-12;

std::array<double, 12> scores(const Json& annotations, const Json& results,
                              bool compatible = false) {
  CocoFiles files;
  files.write("gt.json", truth_of(annotations).dump());
  files.write("r.json", results.dump());
  return summarise(files.score(IouType::kBox, compatible));
}

std::string digest(const std::vector<double>& v) {
  std::vector<std::uint8_t> bytes(v.size() * sizeof(double));
  std::memcpy(bytes.data(), v.data(), bytes.size());
  return data::sha256(bytes);
}

// A set with ties, crowds and touching areas, straight in memory; one in four
// has more than 100 detections of one image and category.
void make_random(std::uint32_t seed, IouType type, GroundTruth& truth,
                 Results& results) {
  Rng rng(3, RngPurpose::kTest, seed);
  const auto pick = [&](int n) { return static_cast<int>(rng.next() % static_cast<unsigned>(n)); };
  truth.categories = {{1, "a"}, {2, "b"}, {7, "c"}};
  for (int i = 0; i < 5; ++i)
    truth.images.push_back({10 * i + 1, 9 + static_cast<std::uint32_t>(pick(6)), 12});
  const auto draw_box = [&] {
    return Box{static_cast<double>(pick(6)), static_cast<double>(pick(6)),
               static_cast<double>(1 + pick(6)), static_cast<double>(1 + pick(6))};
  };
  const auto mask = [&](const Box& b, std::int32_t image) {
    const Image& i = truth.images[static_cast<std::size_t>(image)];
    std::vector<std::uint8_t> pixels(std::size_t{i.height} * i.width);
    for (std::uint32_t y = 0; y < i.height; ++y)
      for (std::uint32_t x = 0; x < i.width; ++x)
        pixels[y * i.width + x] = x >= b[0] && x < b[0] + b[2] && y >= b[1] &&
                                  y < b[1] + b[3] && pick(8) > 0;
    return detect::rle_from_pixels(pixels, i.height, i.width);
  };
  const bool crammed = seed % 4 == 1;
  const int annotations = 4 + pick(20);
  const int detections = 10 + pick(120) + (crammed ? 200 : 0);
  constexpr double kAreas[] = {10, 1024, 1025, 5000, 9216, 1e5, 2e10};
  for (int i = 0; i < annotations; ++i) {
    Annotation a{i + 1, pick(5), pick(2), kAreas[pick(7)], draw_box(),
                 pick(6) == 0};
    if (type == IouType::kMask)
      truth.masks.push_back(detect::rle_to_text(mask(a.box, a.image)));
    truth.annotations.push_back(a);
  }
  for (int i = 0; i < detections; ++i) {
    const auto& near =
        truth.annotations[static_cast<std::size_t>(pick(annotations))];
    Detection d{pick(5), pick(3), pick(5) / 4.0, kAreas[pick(7)], draw_box()};
    if (crammed && pick(4)) d.image = 2, d.category = 1;
    else if (pick(2)) d.image = near.image, d.category = near.category, d.box = near.box;
    if (type == IouType::kMask) {
      const auto m = mask(d.box, d.image);
      results.masks.push_back(detect::rle_to_text(m));
    }
    results.detections.push_back(d);
  }
}

TEST_SUITE("coco") {
  TEST_CASE("stored files score as by pycocotools, to the bit") {
    const std::string folder = MUSIC_TEST_SOURCE_DIR "/golden/coco/";
    std::ifstream in(folder + "numbers.json");
    const Json golden = Json::parse(in);
    CHECK(golden.size() == 6);
    for (const auto& [name, expected] : golden.items()) {
      CAPTURE(name);
      const std::string stem = name.substr(0, name.find('.'));
      const auto type =
          name.ends_with("bbox") ? IouType::kBox : IouType::kMask;
      const auto truth = load_ground_truth(folder + stem + ".gt.json", type);
      const auto results =
          load_results(folder + name + ".json", truth, {type, true});
      const auto e = evaluate(truth, results, type, true);
      CHECK(digest(e.precision) == expected["precision"]);
      CHECK(digest(e.recall) == expected["recall"]);
      const auto numbers = summarise(e);
      for (std::size_t i = 0; i < 12; ++i)
        CHECK(near(numbers[i], expected["stats"][i], kTolerance));
      const auto by_category = category_precision(e);
      for (std::size_t k = 0; k < by_category.size(); ++k)
        CHECK(near(by_category[k], expected["categories"][k], kTolerance));
    }
  }

  TEST_CASE("random sets score as by the naive reference, on any threads") {
    const int threads = omp_get_max_threads();
    for (std::uint32_t seed = 0; seed < 24; ++seed)
      for (const auto type : {IouType::kBox, IouType::kMask}) {
        GroundTruth truth;
        Results results;
        make_random(seed, type, truth, results);
        CAPTURE(seed);
        const auto expected =
            reference::Coco(truth, results, type).evaluate();
        for (const int n : {1, 3}) {
          omp_set_num_threads(n);
          const auto actual = evaluate(truth, results, type);
          CHECK(actual.precision == expected.precision);
          CHECK(actual.recall == expected.recall);
        }
      }
    omp_set_num_threads(threads);
  }

  TEST_CASE("one object, by hand") {
    const Json box = {10, 10, 40, 40};
    const Json one = Json::array({annotation(1, box, 1600)});
    const auto perfect = scores(one, Json::array({found(box, 0.9)}));
    const std::array<double, 12> expected{1, 1, 1, -1, 1, -1, 1, 1, 1, -1, 1, -1};
    for (std::size_t i = 0; i < 12; ++i)  // a precision of 1 lacks 2^-52
      CHECK(near(perfect[i], expected[i], kTolerance));
    // An overlap of 3/4 counts at .5 to .75: 6 of 10 thresholds.
    CHECK(near(scores(one, Json::array({found({10, 10, 40, 30}, 0.9)}))[0], 0.6, kTolerance));
    // Something else above it: precision 1/2; small, it is not seen in APm.
    const auto below =
        scores(one, Json::array({found({60, 60, 30, 30}, 0.95), found(box, 0.9)}));
    CHECK(near(below[0], 0.5, kTolerance));
    CHECK(near(below[4], 1, kTolerance));
    CHECK(below[6] == 0);
    CHECK(near(below[8], 1, kTolerance));
    // On a crowd it is forgiven.
    const Json crowded = Json::array({annotation(1, box, 1600),
                                      annotation(2, {50, 0, 50, 100}, 5000, 1)});
    CHECK(near(scores(crowded, Json::array({found({60, 60, 30, 30}, 0.95), found(box, 0.9)}))[0], 1, kTolerance));
    // A crowd takes any number, a second hit on an object is wrong.
    CHECK(near(scores(crowded, Json::array({found({60, 60, 30, 30}, 0.95),
                           found({60, 10, 30, 30}, 0.94), found(box, 0.9)}))[0], 1, kTolerance));
    const auto twice = scores(one, Json::array({found(box, 0.9), found(box, 0.9)}));
    CHECK(near(twice[0], 1, kTolerance));
    CHECK(scores(one, Json::array())[0] == 0);
    CHECK(scores(Json::array(), Json::array({found(box, 0.9)}))[0] == -1);
    // 1024 and 9216 belong to two ranges each.
    const auto edge = scores(
        Json::array({annotation(1, box, 1024), annotation(2, {70, 0, 9, 9}, 9216)}),
        Json::array({found(box, 0.9)}));
    CHECK(near(edge[3], 1, kTolerance));
    CHECK(near(edge[4], 51 / 101.0, kTolerance));
    CHECK(edge[5] == 0);
  }

  TEST_CASE("an annotation with the id 0 is matched, and is not on request") {
    const Json box = {10, 10, 40, 40};
    const Json one = Json::array({annotation(0, box, 1600)});
    CHECK(near(scores(one, Json::array({found(box, 0.9)}))[0], 1, kTolerance));
    CHECK(scores(one, Json::array({found(box, 0.9)}), true)[0] == 0);
  }

  TEST_CASE("seven of ten objects do not reach the recall of .7") {
    Json truth = Json::array(), results = Json::array();
    for (int i = 0; i < 10; ++i) {
      truth.push_back(annotation(i + 1, {10 * i, 0, 9, 9}, 81));
      if (i < 7) results.push_back(found({10 * i, 0, 9, 9}, 0.9));
    }
    CHECK(near(scores(truth, results)[0], 70 / 101.0, kTolerance));
  }

  TEST_CASE("masks: polygons, lists and text are the same mask") {
    Json a = annotation(1, {10, 10, 40, 40}, 1600);
    CocoFiles files;
    for (int form = 0; form < 4; ++form) {
      detect::Rle mask{100, 120, {1010}};
      for (int i = 0; i < 40; ++i) {
        mask.counts.push_back(40);
        mask.counts.push_back(60);
      }
      mask.counts.back() = 12000 - 1010 - 40 * 40 - 39 * 60;
      const Json text = {{"size", {100, 120}}, {"counts", detect::rle_to_text(mask)}};
      const Json list = {{"size", {100, 120}}, {"counts", mask.counts}};
      a["segmentation"] = form == 0   ? Json::array({Json{10, 10, 50, 10, 50, 50, 10, 50}})
                          : form == 1 ? list
                          : form == 2 ? text
                                      : Json::array({Json{10, 10, 40, 40}});
      files.write("gt.json", truth_of(Json::array({a})).dump());
      Json r = {{"image_id", 1}, {"category_id", 5}, {"score", 1},
                {"segmentation", form == 1 ? text : list}};
      files.write("r.json", Json::array({r}).dump());
      CHECK(near(summarise(files.score(IouType::kMask))[0], 1, kTolerance));
      // Its box where boxes are compared; its pixels as area.
      CHECK(near(summarise(files.score())[4], 1, kTolerance));
      // A box beside it that makes it large.
      r["bbox"] = {0, 0, 100, 100};
      files.write("r.json", Json::array({r}).dump());
      CHECK(near(summarise(files.score(IouType::kMask))[4], 1, kTolerance));
    }
  }

  TEST_CASE("the area of a mask with a box beside it") {
    Json a = annotation(1, {0, 0, 40, 40}, 1600);
    a["segmentation"] = {{0, 0, 40, 0, 40, 40, 0, 40}};
    CocoFiles files;
    files.write("gt.json", truth_of(Json::array({a})).dump());
    // 60 x 60 pixels elsewhere; with a box of 100 x 100 large for pycocotools.
    Json r = {{"image_id", 1}, {"category_id", 5}, {"score", 1},
              {"segmentation", {{50, 30, 110, 30, 110, 90, 50, 90}}},
              {"bbox", {10, 0, 100, 100}}};
    Json hit = {{"image_id", 1}, {"category_id", 5}, {"score", 0.5},
                {"segmentation", a["segmentation"]}, {"bbox", {0, 0, 40, 40}}};
    files.write("r.json", Json::array({r, hit}).dump());
    CHECK(near(summarise(files.score(IouType::kMask))[4], 0.5, kTolerance));
    CHECK(near(summarise(files.score(IouType::kMask, true))[4], 1, kTolerance));
  }
}

}  // namespace
