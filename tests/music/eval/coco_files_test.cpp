// What is said of COCO's files that are wrong: one line, the place in it.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>

#include "music/detect/rle.h"
#include "tests/support/coco_files.h"

namespace {

using namespace music;
using music::coco::IouType;
using music::test::annotation;
using music::test::CocoFiles;
using music::test::found;
using music::test::Json;
using music::test::truth_of;

TEST_SUITE("coco_files") {
  TEST_CASE("what is wrong with a file is said in a line that names the place") {
    const Json good = annotation(1, {10, 10, 40, 40}, 1600);
    const Json result = found({10, 10, 40, 40}, 0.5);
    const auto with_truth = [&](const Json& truth, IouType type = IouType::kBox) {
      CocoFiles files;
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
      CocoFiles files;
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
    CocoFiles files;
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
