#include "tools/score_record.h"

#include <doctest/doctest.h>

#include <fstream>

#include "engine/io/safetensors.h"
#include "tests/support/scratch.h"
#include "tools/score_report.h"

namespace {

using namespace music;
using test::Scratch;

// Images of one colour each.
class Colours : public data::Dataset {
 public:
  std::vector<int> labels{0, 1, 1};
  std::vector<std::string> names{"cat", "dog"};
  std::vector<std::uint8_t> colours{1, 2, 3};
  std::string folder = "/a/";
  bool broken = false;

  std::int64_t size() const override {
    return static_cast<std::int64_t>(labels.size());
  }
  const std::vector<std::string>& classes() const override { return names; }
  int label(std::int64_t i) const override {
    return labels[static_cast<std::size_t>(i)];
  }
  std::string name(std::int64_t i) const override {
    return folder + std::to_string(i);
  }
  void read(std::int64_t i, data::Image& image) const override {
    if (broken && i == 1) throw error(ExitCode::kData, "[test] broken");
    std::uint8_t* p = image.reset(2, 2);
    std::fill(p, p + 12, colours[static_cast<std::size_t>(i)]);
  }
  bool read_file(std::int64_t, std::vector<std::uint8_t>&) const override {
    return false;
  }
};

std::string fingerprint(const data::Dataset& d) {
  return describe_data(d, "somewhere")["fingerprint"];
}

ScoreRecord record() {
  ScoreRecord r;
  r.program = "music_test";
  r.protocol = "test.a";
  r.settings = {{"k", 20}, {"T", 0.07}};
  r.seeds = {0, 1};
  r.scores = {{"top-1", {60, 62}, 10.0, 30.0}, {"mAP", {50}}};
  return r;
}

TEST_SUITE_BEGIN("score_record");

TEST_CASE("the mean, and the sample deviation from two seeds on") {
  const ScoreRow row{"a", {1, 2, 6}};
  CHECK(row.value() == doctest::Approx(3));
  CHECK(*row.deviation() == doctest::Approx(std::sqrt(7.0)));
  CHECK(!ScoreRow{"a", {1}}.deviation());
}

TEST_CASE("the protocol's hash is of id and settings, in any order of keys") {
  const Json a = {{"k", 20}, {"T", 0.07}}, b = {{"T", 0.07}, {"k", 20}};
  CHECK(protocol_hash("knn", a) == protocol_hash("knn", b));
  CHECK(protocol_hash("knn", a).size() == 16);
  CHECK(protocol_hash("knn", a) != protocol_hash("knn2", a));
  CHECK(protocol_hash("knn", a) !=
        protocol_hash("knn", {{"k", 21}, {"T", 0.07}}));
}

TEST_CASE("a data set is known by labels and pixels, not by its place") {
  const Colours base;
  const std::string expected = fingerprint(base);
  CHECK(expected.size() == 32);
  {
    Colours moved;
    moved.folder = "/elsewhere/";
    CHECK(fingerprint(moved) == expected);
  }
  Colours labels, names, pixels, fewer, broken;
  labels.labels = {0, 0, 1};
  names.names = {"cat", "fox"};
  pixels.colours[2] = 4;
  fewer.labels = {0, 1};
  broken.broken = true;
  for (const Colours* other : {&labels, &names, &pixels, &fewer, &broken})
    CHECK(fingerprint(*other) != expected);
}

TEST_CASE("an encoder is known by its weights, and by what is odd about them") {
  EncoderWeights weights;
  weights.report.file = "e";
  weights.report.model = "ResNet-18";
  weights.hash = "ab";
  CHECK(describe_encoder(weights).dump() ==
        R"({"path":"e","hash":"ab","model":"ResNet-18"})");
  weights.doubts = {"zero"};
  weights.misfits = {"conv2"};
  const Json j = describe_encoder(weights);
  CHECK(j["looks_random"][0] == "zero");
  CHECK(j["misfits"][0] == "conv2");
}

TEST_CASE("what is not known is null") {
  auto r = record();
  r.scores[1].chance = std::nan("");
  const Json j = to_json(r);
  CHECK(j["scores"][0]["value"] == 61);
  CHECK(j["scores"][0]["chance"] == 10);
  CHECK(j["scores"][1]["chance"].is_null());
  CHECK(j["scores"][1]["deviation"].is_null());
  CHECK(j["scores"][1]["random_initialisation"].is_null());
}

TEST_CASE("images that were left out are counted and named") {
  auto r = record();
  r.data["test"] = describe_data(Colours(), "somewhere");
  tell_left_out(r, "test", "test", {});
  CHECK(r.data["test"]["used"] == 3);
  CHECK(!r.data["test"].contains("left_out"));
  CHECK(r.notes.empty());
  tell_left_out(r, "test", "test", LeftOut(std::vector{
                                       data::BadSample{0, 1, "b\xff", "broken"}}));
  CHECK(r.data["test"]["images"] == 3);
  CHECK(r.data["test"]["used"] == 2);
  CHECK(r.data["test"]["left_out"][0]["reason"] == "broken");
  REQUIRE(r.notes.size() == 1);
  CHECK(r.notes[0].starts_with("1 of 3 test images cannot be read and is left out: "));
  const std::string table = score_table(r);
  CHECK(table.find("test 2 of 3 images, 2 classes\n") != table.npos);
  Scratch scratch;
  write_record(r, scratch.path);  // a name that is no UTF-8
}

TEST_CASE("a run keeps the last score of a protocol, and all of them") {
  Scratch scratch;
  auto r = record();
  write_record(r, scratch.path);
  r.scores[0].values = {70, 70};
  write_record(r, scratch.path);
  const auto last =
      Json::parse(test::slurp(scratch.path / "eval" / "test.a.json"));
  CHECK(last["scores"][0]["value"] == 70);
  std::ifstream lines(scratch.path / "eval" / "scores.jsonl");
  std::string line;
  std::vector<double> values;
  while (std::getline(lines, line))
    values.push_back(Json::parse(line)["scores"][0]["value"]);
  CHECK(values == std::vector<double>{61, 70});
}

TEST_SUITE_END();

}  // namespace
