// Test images that are training images under another name.
#include "music/eval/overlap.h"

#include <doctest/doctest.h>

#include <map>
#include <vector>

#include "engine/core/error.h"

namespace {

using namespace music;

// Images that are what `contents` says; "" cannot be read. As files or as pixels
// in memory.
class Texts : public data::Dataset {
 public:
  std::vector<std::string> contents, names;
  bool files = true;
  mutable std::int64_t reads = 0;

  Texts(const std::string& folder, std::vector<std::string> all)
      : contents(std::move(all)) {
    for (std::size_t i = 0; i < contents.size(); ++i)
      names.push_back(folder + "/" + std::to_string(i) + ".jpg");
  }
  std::int64_t size() const override { return std::ssize(contents); }
  const std::vector<std::string>& classes() const override { return classes_; }
  int label(std::int64_t) const override { return 0; }
  std::string name(std::int64_t i) const override {
    return names[static_cast<std::size_t>(i)];
  }
  void read(std::int64_t i, data::Image& image) const override {
    std::uint8_t* p = image.reset(1, 1);
    p[0] = p[1] = p[2] = static_cast<std::uint8_t>(of(i)[0]);
  }
  bool read_file(std::int64_t i, std::vector<std::uint8_t>& bytes) const override {
    if (!files) return false;
#pragma omp atomic
    ++reads;
    bytes.assign(of(i).begin(), of(i).end());
    return true;
  }

 private:
  const std::string& of(std::int64_t i) const {
    const std::string& text = contents[static_cast<std::size_t>(i)];
    if (text == "bad") throw error(ExitCode::kData, "[test] bad");
    return text;
  }
  std::vector<std::string> classes_{"a"};
};

std::string refused(const Texts& train, const Texts& test) {
  try {
    const auto notes = refuse_overlap(train, "TRAIN", test, "TEST");
    CHECK(notes.size() < 2);
    return notes.empty() ? "" : notes[0];
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kData);
    return e.what();
  }
}

TEST_SUITE_BEGIN("overlap");

TEST_CASE("copies are found by contents, whatever their names") {
  for (const bool files : {true, false}) {
    Texts train("t", {"a", "b", "c", "d", "a"}), test("v", {"x", "c", "y", "a"});
    train.files = test.files = files;
    const Overlap o = find_overlap(train, test);
    CHECK(o.same == 0);
    CHECK(o.tested == 4);
    CHECK(o.compared == 4);
    CHECK(o.copies == 2);
    CHECK(o.distinct_copies == 2);
    CHECK(o.first_copy.first == "v/1.jpg");
    CHECK(o.first_copy.second == "t/2.jpg");
    CHECK(refused(train, test) ==
          "2 of 4 test images are copies of training images (v/1.jpg is t/2.jpg, ...)");
  }
}

TEST_CASE("more than half is refused, but not one image over and over") {
  const Texts train("t", {"a", "b", "c"});
  CHECK(refused(train, Texts("v", {"a", "b", "x"})) ==
        "[eval] 2 of 3 test images in TEST are copies of training images of TRAIN "
        "(v/0.jpg is t/0.jpg, ...): expected other images, as a score of training "
        "images says nothing");
  // A collapsed encoder's features, or black images.
  CHECK(refused(train, Texts("v", {"a", "a", "a"})) ==
        "3 of 3 test images are copies of training images (v/0.jpg is t/0.jpg, ...)");
  CHECK(refused(train, Texts("v", {"x", "y"})).empty());
  CHECK(refused(train, Texts("v", {"a", "y"})) ==
        "1 of 2 test images is a copy of a training image (v/0.jpg is t/0.jpg)");
}

TEST_CASE("images that cannot be read, or are empty, are no copies") {
  CHECK(refused(Texts("t", {"bad", "", "a"}), Texts("v", {"bad", "", "b"})).empty());
}

TEST_CASE("the same name is the same image, with no look at its contents") {
  const Texts train("t", {"a", "b"}), test("t", {"x"});
  CHECK(refused(train, test) ==
        "[eval] 1 of 1 test images in TEST is a training image of TRAIN (t/0.jpg): "
        "expected none, as a score of training images says nothing");
  CHECK(train.reads == 0);
}

TEST_CASE("an image that stands twice is told, with labels that differ") {
  Texts train("t", {"a", "b", "c", "d"}), test("v", {"x", "y", "z", "z"});
  train.names[3] = train.names[0];
  CHECK(refused(train, test) ==
        "1 of 4 training images stands there a second time, and counts again (t/0.jpg)");
  const Texts none("t", {"a"});
  test.names[2] = test.names[1] = test.names[0];
  const Overlap o = find_overlap(none, test);
  CHECK(o.test_repeats.again == 2);
  CHECK(o.test_repeats.otherwise == 0);
  CHECK(o.train_repeats.again == 0);
}

TEST_CASE("of many images a few are compared, with those of the same file name") {
  std::vector<std::string> many, few;
  for (int i = 0; i < 400; ++i) many.push_back("m" + std::to_string(i));
  for (int i = 0; i < 100; ++i)
    few.push_back(i < 60 ? many[static_cast<std::size_t>(i)] : "f" + std::to_string(i));
  const Texts train("t", many);
  Texts test("v", few);
  OverlapLimits limits{.whole = 450, .sampled = 50};
  const Overlap o = find_overlap(train, test, limits);
  CHECK(o.compared == 50);
  CHECK(o.copies == 30);
  CHECK(train.reads < 60);
  // Under other names they are not looked for; what is in memory is.
  Texts renamed("w", few);
  for (std::string& name : renamed.names) name.insert(2, "n");
  CHECK(find_overlap(train, renamed, limits).copies == 0);
  Texts pixels("t", many), others("w", few);
  pixels.files = others.files = false;
  CHECK(find_overlap(pixels, others, limits).compared == 100);
}

TEST_SUITE_END();

}  // namespace
