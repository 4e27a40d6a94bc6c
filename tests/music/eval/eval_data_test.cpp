// What an evaluator may score: classes of both sides are the same, and no test
// image is a training image.
#include "music/eval/eval_data.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "engine/core/error.h"
#include "tests/support/scratch.h"

namespace {

using namespace music;
namespace fs = std::filesystem;
using test::Scratch;

// Empty files in class folders: nothing here reads images.
void fill(const fs::path& folder, const std::vector<std::string>& classes,
          int images = 2) {
  for (const auto& c : classes) {
    fs::create_directories(folder / c);
    for (int i = 0; i < images; ++i)
      std::ofstream(folder / c / (std::to_string(i) + ".jpg"));
  }
}

// A list of images that lie in `folder`, made as needed: one each of labels.
std::string list(const fs::path& folder, const std::string& name,
                 const std::vector<int>& labels) {
  const fs::path images = folder / (name + "_images");
  fs::create_directories(images);
  std::ofstream out(folder / name);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const fs::path image = images / (std::to_string(i) + ".jpg");
    std::ofstream{image};
    out << image.string() << ' ' << labels[i] << '\n';
  }
  return (folder / name).string();
}

EvalData open(const fs::path& train, const fs::path& test) {
  return open_eval_data(train.string(), test.string(),
                        data::DatasetFormat::kAuto);
}

std::string message(const fs::path& train, const fs::path& test) {
  try {
    open(train, test);
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kData);
    return e.what();
  }
  return "";
}

bool says(const std::string& text, const std::string& part) {
  INFO(text);
  const bool found = text.find(part) != std::string::npos;
  CHECK_MESSAGE(found, text);
  return found;
}

std::vector<int> labels(const data::Dataset& d) {
  std::vector<int> v;
  for (std::int64_t i = 0; i < d.size(); ++i) v.push_back(d.label(i));
  return v;
}

TEST_SUITE_BEGIN("eval_data");

TEST_CASE("one path with both splits, or a path each") {
  const Scratch s;
  fill(s.path / "train", {"a", "b"}), fill(s.path / "val", {"a", "b"}, 1);
  for (const auto& data :
       {open(s.path, s.path), open(s.path / "train", s.path / "val"),
        open(s.path, s.path / "val")}) {
    CHECK(data.train->size() == 4);
    CHECK(data.test->size() == 2);
    CHECK(data.classes == 2);
    CHECK(data.populated == 2);
    CHECK(data.notes.empty());
  }
}

TEST_CASE("of val/ and test/ it is said which is scored") {
  const Scratch s;
  fill(s.path / "train", {"a", "b"});
  fill(s.path / "val", {"a", "b"}, 1), fill(s.path / "test", {"a", "b"}, 3);
  const EvalData both = open(s.path, s.path);
  CHECK(both.test->size() == 2);
  REQUIRE(both.notes.size() == 1);
  says(both.notes[0], "has val and test: val is scored; for the other give "
                      "separate --train and --test");
  const EvalData one = open(s.path, s.path / "test");
  CHECK(one.test->size() == 6);
  CHECK(one.notes.empty());
}

TEST_CASE("training images are not scored") {
  const Scratch s;
  const fs::path plain = s.path / "plain";
  fill(plain, {"a", "b"});
  says(message(plain, plain), "has no test images of its own");
  says(message(plain, plain), "expected a folder with train/ and val/ or test/");
  fs::create_directory_symlink(plain, s.path / "link");
  says(message(plain, s.path / "link"), "has no test images of its own");
  // Copies of names are other files; links and parts of the same folder are not.
  fill(s.path / "copy", {"a", "b"});
  CHECK(message(plain, s.path / "copy").empty());
  const fs::path both = s.path / "both";
  fill(both / "train", {"a", "b"});
  fs::create_directory_symlink(both / "train", both / "val");
  says(message(both, both), "4 of 4 test images");
  fs::remove(s.path / "copy/b/1.jpg");
  fs::create_symlink("../../plain/b/0.jpg", s.path / "copy/b/1.jpg");
  says(message(plain, s.path / "copy"), "1 of 4 test images");
  says(message(plain, s.path / "copy"), "plain/b/0.jpg)");
  const std::string one = list(s.path, "one", {0, 1, 1});
  const std::string two = (s.path / "two").string();
  fs::copy_file(one, two);
  says(message(one, two), "3 of 3 test images");
}

TEST_CASE("a data set that should have a test part is not scored whole") {
  const Scratch s;
  const fs::path cifar = s.path / "cifar-10-batches-bin", other = s.path / "o";
  fs::create_directories(cifar);
  for (int b = 1; b <= 5; ++b) {
    std::ofstream out(cifar / ("data_batch_" + std::to_string(b) + ".bin"));
    for (int i = 0; i < 2; ++i) out << char(i) << std::string(3072, 'x');
  }
  fill(other, {"0", "1"});
  says(message(other, cifar), "test_batch.bin");
  says(message(cifar, cifar), "test_batch.bin");
}

TEST_CASE("test lists that lack a class") {
  const Scratch s;
  const std::string train = list(s.path, "train", {0, 1, 2, 3, 0, 1, 2, 3});
  const auto last = open(train, list(s.path, "last", {0, 1, 2, 2}));
  CHECK(last.classes == 4);
  REQUIRE(last.notes.size() == 1);
  CHECK(last.notes[0] == "1 of 4 classes has no test image: 3");
  const auto first = open(train, list(s.path, "first", {1, 2, 3}));
  CHECK(first.classes == 4);
  CHECK(labels(*first.test) == std::vector<int>{1, 2, 3});
  REQUIRE(first.notes.size() == 1);
  CHECK(first.notes[0] == "1 of 4 classes has no test image: 0");
}

TEST_CASE("test folders that lack a class keep the labels of training") {
  const Scratch s;
  fill(s.path / "train", {"ant", "bee", "cat"});
  fill(s.path / "val", {"ant", "cat"}, 1);
  const auto data = open(s.path, s.path);
  CHECK(labels(*data.test) == std::vector<int>{0, 2});
  CHECK(data.test->classes() == data.train->classes());
  REQUIRE(data.notes.size() == 1);
  CHECK(data.notes[0] == "1 of 3 classes has no test image: 1 (bee)");
}

TEST_CASE("classes that training does not have") {
  const Scratch s;
  fill(s.path / "train", {"ant", "bee", "cat"});
  fill(s.path / "val", {"ant", "bee", "dog", "elk"}, 1);
  says(message(s.path, s.path),
       "has test images of 2 of its 4 classes that");
  says(message(s.path, s.path), "no training image of: 2 (dog), 3 (elk)");
  const std::string train = list(s.path, "list", {0, 2, 2});
  says(message(train, list(s.path, "more", {0, 2, 3})), "no training image of: 3");
  says(message(train, list(s.path, "gap", {0, 1, 2})), "no training image of: 1");
}

TEST_CASE("names that differ in what the eye does not see") {
  const auto refused = [](const std::string& train, const std::string& test) {
    const Scratch s;
    fill(s.path / "train", {train, "z"}), fill(s.path / "val", {test, "z"}, 1);
    return message(s.path, s.path);
  };
  const std::string nfc = "caf\xc3\xa9", nfd = "cafe\xcc\x81";
  says(refused(nfc, nfd), "'cafe\\xcc\\x81' and the training class 'caf\\xc3\\xa9' "
                          "differ only by Unicode normalisation");
  says(refused("Cat", "cat"), "'cat' and the training class 'Cat' differ only by case");
  says(refused("cat", "cat "), "differ only by blanks");
  says(refused("tree frog", "tree_frog"),
       "differ only by blanks, hyphens and underscores");
  says(refused("cat", "cat\xe2\x80\x8b"), "differ only by invisible characters");
  says(refused("cat", "c\xd0\xb0t"), "no training image of: 0 (c\xd0\xb0t 'c\\xd0\\xb0t')");
}

TEST_CASE("training classes of nearly one name are told") {
  const Scratch s;
  fill(s.path / "train", {"Cat", "cat", "dog"}), fill(s.path / "val", {"dog"}, 1);
  const auto data = open(s.path, s.path);
  REQUIRE(data.notes.size() == 2);
  says(data.notes[1], "two training classes, 'Cat' and 'cat', differ only by case");
}

TEST_CASE("the parts that were found, and how to give others") {
  const Scratch s;
  fill(s.path / "train", {"a", "b"}), fill(s.path / "validation", {"a", "b"});
  says(message(s.path, s.path), "no test images of its own (found train, validation)");
  try {
    open_eval_data(s.path, s.path, data::DatasetFormat::kAuto, "--other");
  } catch (const Error& e) {
    says(e.what(), "or --other");
  }
  says(message(s.path / "none", s.path / "none"), "no such file or folder");
  says(message(s.path, s.path / "validation"), "train meant?");
  fs::rename(s.path / "validation", fs::path(s.path.string() + "-elsewhere"));
  // train/ alone is the training part.
  CHECK(message(s.path, s.path.string() + "-elsewhere").empty());
  fs::remove_all(s.path.string() + "-elsewhere");
}

TEST_CASE("an image that a list names twice counts twice, and is told") {
  const Scratch s;
  const std::string train = list(s.path, "train", {0, 1, 0, 1});
  const std::string test = list(s.path, "test", {0, 1});
  std::ofstream(test, std::ios::app) << (s.path / "test_images/0.jpg").string()
                                     << " 1\n";
  const auto data = open(train, test);
  REQUIRE(data.notes.size() == 1);
  says(data.notes[0], "1 of 3 test images stands there a second time, and counts "
                      "again, 1 under another label (");
}

TEST_CASE("test labels from 1 beside training labels from 0") {
  const Scratch s;
  says(message(list(s.path, "train", {0, 1, 2}), list(s.path, "test", {1, 2, 3})),
       "labels count from 1 there, and from 0 in training?");
}

TEST_CASE("classes without any image do not count in chance") {
  const Scratch s;
  const auto data = open(list(s.path, "train", {1, 2, 3}),
                         list(s.path, "test", {1, 2, 3}));
  CHECK(data.classes == 4);
  CHECK(data.populated == 3);
  REQUIRE(data.notes.size() == 1);
  CHECK(data.notes[0] == "class 0 of 0 to 3: no image at all (labels count from "
                         "1?)");
}

TEST_CASE("names against numbers") {
  const Scratch s;
  fill(s.path / "named", {"ant", "bee", "cat"});
  const auto data = open(s.path / "named", list(s.path, "test", {0, 1, 2}));
  REQUIRE(data.notes.size() == 1);
  says(data.notes[0], "matched by number");
  says(data.notes[0], "test has no class names");
  CHECK(message(list(s.path, "train", {0, 1, 2}), s.path / "named").empty());
  // Numbers as folder names are names: 10 is not the third class.
  fill(s.path / "numbers", {"0", "1", "10", "2"}, 1);
  const auto by_name =
      open(list(s.path, "eleven", {0, 1, 2, 10}), s.path / "numbers");
  CHECK(labels(*by_name.test) == std::vector<int>{0, 1, 10, 2});
  // Which of four classes a folder of three has is not known.
  says(message(list(s.path, "four", {0, 1, 2, 3}), s.path / "named"),
       "no training image of: 0 (ant), 1 (bee), 2 (cat)");
}

TEST_CASE("labels are needed, and two of them") {
  const Scratch s;
  fill(s.path / "one", {"a"}), fill(s.path / "two", {"a", "b"});
  says(message(s.path / "one", s.path / "two"), "images of one class only (0 (a))");
  says(message(s.path / "two", s.path / "one" / "a"), "has no label, nor has 1 "
       "more image: expected class sub-folders, a list with class numbers, shards with KEY.cls, CIFAR");
  says(message(s.path / "two", s.path / "none"), "no such file or folder");
}

TEST_SUITE_END();

}  // namespace
