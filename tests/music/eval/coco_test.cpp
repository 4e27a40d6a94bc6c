// COCO's scores: against pycocotools on stored files, against a naive
// reference, on cases made by hand; and what is said of files that are wrong.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <omp.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "music/eval/coco/summary.h"
#include "tests/data/sha256.h"
#include "tests/support/margin.h"
#include "tests/support/reference_coco.h"
#include "tests/support/scratch.h"

namespace {

using namespace music;
using namespace music::coco;
using music::test::near;
using music::test::Scratch;

using Json = nlohmann::json;

constexpr double kTolerance = 1e-12;

// Ground truth and results as files.
struct Files {
  Scratch scratch;
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(scratch.path / name) << text;
  }
  Evaluation score(IouType type = IouType::kBox, bool compatible = false) const {
    const auto truth = load_ground_truth(scratch.path / "gt.json", type);
    const auto results =
        load_results(scratch.path / "r.json", truth, {type, compatible});
    return evaluate(truth, results, type, compatible);
  }
  // "" or what it said, without folders.
  std::string said(IouType type = IouType::kBox) const {
    try {
      score(type);
    } catch (const Error& e) {
      CHECK(e.code() == ExitCode::kData);
      std::string text = e.what();
      const std::string folder = scratch.path.string() + "/";
      if (const auto at = text.find(folder); at != text.npos)
        text.erase(at, folder.size());
      return text;
    }
    return "";
  }
};

Json annotation(int id, Json box, double area, int crowd = 0) {
  return {{"id", id}, {"image_id", 1}, {"category_id", 5}, {"bbox", box},
          {"area", area}, {"iscrowd", crowd}};
}
Json truth_of(Json annotations) {
  return {{"images", {{{"id", 1}, {"height", 100}, {"width", 120}}}},
          {"categories", {{{"id", 5}, {"name", "thing"}}}},
          {"annotations", annotations}};
}
Json found(Json box, double score) {
  return {{"image_id", 1}, {"category_id", 5}, {"bbox", box}, {"score", score}};
}

std::array<double, 12> scores(const Json& annotations, const Json& results,
                              bool compatible = false) {
  Files files;
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
    Files files;
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
    Files files;
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

  TEST_CASE("what is wrong with a file is said in a line that names the place") {
    const Json good = annotation(1, {10, 10, 40, 40}, 1600);
    const Json result = found({10, 10, 40, 40}, 0.5);
    const auto with_truth = [&](const Json& truth, IouType type = IouType::kBox) {
      Files files;
      files.write("gt.json", truth.dump());
      files.write("r.json", "[]");
      return files.said(type);
    };
    const auto with_annotation = [&](const char* key, const Json& value,
                                     IouType type = IouType::kBox) {
      Json a = good;
      if (value.is_null()) a.erase(key);
      else a[key] = value;
      Json first = good;
      first["id"] = 7;
      first["segmentation"] = {{1, 1, 9, 1, 9, 9}};
      return with_truth(truth_of(Json::array({first, a})), type);
    };
    CHECK(with_truth(truth_of(Json::array({good}))) == "");
    CHECK(with_annotation("x", 3) == "");
    for (const char* key : {"id", "image_id", "category_id", "area", "iscrowd", "bbox"})
      CHECK(with_annotation(key, {}) ==
            fmt::format("[coco] gt.json: annotations[1]: no \"{}\"", key));
    CHECK(with_annotation("segmentation", {}, IouType::kMask) ==
          "[coco] gt.json: annotations[1]: no \"segmentation\"");
    CHECK(with_annotation("id", 7) ==
          "[coco] gt.json: annotations[1]: id 7 is also that of annotations[0]");
    CHECK(with_annotation("image_id", 3) ==
          "[coco] gt.json: annotations[1]: image_id 3 is not among the 1 images");
    CHECK(with_annotation("category_id", 9) ==
          "[coco] gt.json: annotations[1]: category_id 9 is not among the 1 "
          "categories");
    CHECK(with_annotation("id", "x") ==
          "[coco] gt.json: annotations[1]: \"id\" is a string, expected a number");
    CHECK(with_annotation("id", 1.5) ==
          "[coco] gt.json: annotations[1]: \"id\" is 1.5, expected an integer");
    CHECK(with_annotation("bbox", {1, 2, 3}) ==
          "[coco] gt.json: annotations[1]: \"bbox\" has 3 numbers, expected 4");
    CHECK(with_annotation("bbox", {1, 2, 3, -1}) ==
          "[coco] gt.json: annotations[1]: box of 3 x -1, expected sides from 0");
    CHECK(with_annotation("bbox", {1, 2, "3", 4}) ==
          "[coco] gt.json: annotations[1]: \"bbox\" holds a string, expected "
          "numbers");
    const auto with_mask = [&](const Json& value) {
      return with_annotation("segmentation", value, IouType::kMask);
    };
    CHECK(with_mask({{1, 1, 9, 1, 9}}) ==
          "[coco] gt.json: annotations[1]: polygon of 5 numbers, expected pairs, at "
          "least 3 of them");
    CHECK(with_mask({{1, 1, 9, 1, 1e6, 9}}) ==
          "[coco] gt.json: annotations[1]: polygon with the coordinate 1000000, "
          "expected at most 100000");
    CHECK(with_mask({{"counts", "d0"}, {"size", {4, 5}}}) ==
          "[coco] gt.json: annotations[1]: mask of 4 x 5, expected that of the "
          "image, 100 x 120 (height, width)");
    CHECK(with_mask({{"counts", {11999}}, {"size", {100, 120}}}) ==
          "[coco] gt.json: annotations[1]: run lengths add up to 11999, expected "
          "12000 (100 x 120)");
    CHECK(with_mask({{"counts", {1.5}}, {"size", {100, 120}}}) ==
          "[coco] gt.json: annotations[1]: run length 1.5, expected an integer "
          "from 0");
    CHECK(with_mask({{"size", {100, 120}}}) ==
          "[coco] gt.json: annotations[1]: \"segmentation\" is an object without "
          "\"counts\"");
    CHECK(with_mask(5) == "[coco] gt.json: annotations[1]: \"segmentation\" is a "
                          "number, expected polygons or run lengths");

    CHECK(with_truth(Json::array()) ==
          "[coco] gt.json: begins with a list, expected an object with images, "
          "categories and annotations");
    Json truth = truth_of(Json::array({good}));
    truth.erase("categories");
    CHECK(with_truth(truth) == "[coco] gt.json: no list \"categories\"");
    truth = truth_of(Json::array({good}));
    truth["images"].push_back(truth["images"][0]);
    CHECK(with_truth(truth) == "[coco] gt.json: two images with the id 1");
    truth = truth_of(Json::array({good}));
    truth["images"][0]["height"] = 70000;
    CHECK(with_truth(truth) == "[coco] gt.json: images[0]: image of 70000 x 120, "
                               "expected sides of 1 to 65535");
    truth["images"] = 3;
    CHECK(with_truth(truth) ==
          "[coco] gt.json: \"images\" is a number, expected a list");

    const auto with_results = [&](const std::string& text,
                                  IouType type = IouType::kBox) {
      Files files;
      Json a = good;
      a["segmentation"] = {{1, 1, 9, 1, 9, 9}};
      files.write("gt.json", truth_of(Json::array({a})).dump());
      files.write("r.json", text);
      return files.said(type);
    };
    const auto with_result = [&](const char* key, const Json& value,
                                 IouType type = IouType::kBox) {
      Json r = result;
      if (value.is_null()) r.erase(key);
      else r[key] = value;
      return with_results(Json::array({result, r}).dump(), type);
    };
    CHECK(with_results(Json::array({result}).dump()) == "");
    for (const char* key : {"image_id", "category_id", "score", "bbox"})
      CHECK(with_result(key, {}) ==
            fmt::format("[coco] r.json: record 1: no \"{}\"", key));
    CHECK(with_result("image_id", 9) ==
          "[coco] r.json: record 1: image_id 9 is not among the 1 images of the "
          "ground truth");
    CHECK(with_result("category_id", 12) ==
          "[coco] r.json: record 1: category_id 12 is not among the 1 categories of "
          "the ground truth");
    CHECK(with_results(Json::array({result}).dump(), IouType::kMask) ==
          "[coco] r.json: record 0: no \"segmentation\", which masks are scored by");
    CHECK(with_results("{}") ==
          "[coco] r.json: begins with an object, expected a list of results");
    CHECK(with_results("[3]") ==
          "[coco] r.json: record 0: is a number, expected an object");
    CHECK(with_results(R"([{"score":NaN}])") ==
          "[coco] r.json: record 0: not JSON at byte 11, near '\"score\":N' "
          "(NaN and Infinity are no numbers there)");
    CHECK(with_results(R"([{"score":1e999}])").ends_with("is not finite"));
    CHECK(with_results(R"([{"image_id":1)").starts_with(
        "[coco] r.json: record 0: not JSON at byte"));
    CHECK(with_results("") .starts_with("[coco] r.json: not JSON at byte"));
    Json masked = found({1, 1, 1, 1}, 1);
    masked["segmentation"] = {{"size", {100, 120}}, {"counts", "d0"}};
    CHECK(with_results(Json::array({masked}).dump(), IouType::kMask) ==
          "[coco] r.json: record 0: run lengths add up to 20, expected 12000 (100 x "
          "120)");
  }

  TEST_CASE("of several bad masks the first is named, on any threads") {
    Json results = Json::array();
    for (int i = 0; i < 400; ++i)
      results.push_back({{"image_id", 1}, {"category_id", 5}, {"score", 1},
                         {"segmentation",
                          {{"size", {100, 120}}, {"counts", i < 150 ? "0hg;" : "d"}}}});
    Files files;
    Json a = annotation(1, {1, 1, 8, 8}, 32);
    a["segmentation"] = {{1, 1, 9, 1, 9, 9}};
    files.write("gt.json", truth_of(Json::array({a})).dump());
    results[10]["segmentation"]["counts"] = detect::rle_to_text({100, 120, {12000}});
    for (int i = 0; i < 150; ++i)
      results[static_cast<std::size_t>(i)]["segmentation"]["counts"] =
          detect::rle_to_text({100, 120, {12000}});
    files.write("r.json", results.dump());
    for (int i = 0; i < 5; ++i)
      CHECK(files.said(IouType::kMask) ==
            "[coco] r.json: record 150: run lengths end within a number");
  }
}

}  // namespace
