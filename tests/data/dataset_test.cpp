#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "tests/data/logged.h"
#include "tests/data/open_dataset.h"
#include "tests/data/temporary_folder.h"

TEST_SUITE("dataset") {
  using namespace music::data;
  namespace fs = std::filesystem;

  TEST_CASE("class folders: sorted, recursive, other files ignored") {
    const TemporaryFolder f;
    f.write_jpeg("zebra/b.jpg", 1);
    f.write_jpeg("zebra/a.JPEG", 2);
    f.write_jpeg("ant/deep/x.jpg", 3);
    f.write_jpeg("ant/y.png", 4, 50, 20);  // a JPEG by content
    f.write("ant/notes.txt", "no image");
    f.write(".hidden/x.txt", "");
    const auto d = open(f.path());
    REQUIRE(d->size() == 4);
    CHECK(d->classes() == std::vector<std::string>{"ant", "zebra"});
    CHECK(d->name(0) == f.path("ant/y.png"));
    CHECK(d->name(1) == f.path("ant/deep/x.jpg"));
    CHECK(d->name(2) == f.path("zebra/a.JPEG"));
    CHECK(d->name(3) == f.path("zebra/b.jpg"));
    CHECK(d->label(1) == 0);
    CHECK(d->label(3) == 1);
    Image image;
    d->read(0, image);
    CHECK(image.width() == 50);
    CHECK(image.height() == 20);
    std::vector<std::uint8_t> bytes;
    CHECK(subset(open(f.path()), 3, 0)->read_file(0, bytes));
    CHECK(bytes.size() > 100);
    CHECK(bytes[0] == 0xFF);
  }

  TEST_CASE("a flat folder has no labels") {
    const TemporaryFolder f;
    f.write_jpeg("2.jpg", 1);
    f.write_jpeg("1.jpg", 2);
    f.write("sub/readme.txt", "");
    const auto d = open(f.path());
    REQUIRE(d->size() == 2);
    CHECK(d->classes().empty());
    CHECK(d->label(0) == -1);
    CHECK(d->name(0) == f.path("1.jpg"));
  }

  TEST_CASE("train and val are splits, not classes") {
    const TemporaryFolder f;
    f.write_jpeg("train/a/1.jpg", 1);
    f.write_jpeg("train/a/2.jpg", 2);
    f.write_jpeg("val/a/3.jpg", 3);
    CHECK(open(f.path())->size() == 2);
    CHECK(open(f.path(), Split::kTest)->size() == 1);
    CHECK(open(f.path("train"))->classes() == std::vector<std::string>{"a"});
    CHECK(has(refusal(f.path("train"), Split::kTest), "has no test split"));
  }

  TEST_CASE("links are followed, loops are not") {
    const TemporaryFolder f;
    f.write_jpeg("data/a/1.jpg", 1);
    fs::create_directory_symlink("..", f.path("data/a/up"));
    fs::create_directory_symlink(f.path("data/a"), f.path("data/b"));
    const auto d = open(f.path("data"));
    CHECK(d->size() == 2);  // a/1.jpg and b/1.jpg
    CHECK(d->classes() == std::vector<std::string>{"a", "b"});
  }

  TEST_CASE("folders that are no data set") {
    const TemporaryFolder f;
    CHECK(has(refusal(f.path("none")), "none: no such file or folder"));
    CHECK(has(refusal(f.path()), "no image found in it or its sub-folders; expected"));
    f.write("a/notes.txt", "");
    CHECK(has(refusal(f.path()), "no image found in it or its sub-folders"));
    f.write_jpeg("b/1.jpg", 1);
    CHECK(has(refusal(f.path()), "class folder a has no image"));
    CHECK(has(refusal(f.path(), Split::kTrain, DatasetFormat::kList),
              "is a folder, expected a text file"));
    CHECK(has(refusal(f.path("b/1.jpg"), Split::kTrain, DatasetFormat::kFolder),
              "is a file, expected a folder"));
    CHECK(has(refusal(f.path("b/1.jpg")), "is a JPEG, expected a folder, a list"));
  }

  TEST_CASE("a bad image is an error of read, with its reason") {
    const TemporaryFolder f;
    f.write("a/1.jpg", "\xFF\xD8\xFFnothing");
    f.write("a/2.jpg", "");
    const auto d = open(f.path());
    Image image;
    CHECK_THROWS_AS(d->read(0, image), music::Error);
    CHECK_THROWS_WITH(d->read(1, image), "[decode] the file is empty");
    fs::remove(f.path("a/1.jpg"));
    CHECK_THROWS_WITH(d->read(0, image),
                      ("[io] cannot read " + f.path("a/1.jpg") +
                       ": No such file or directory").c_str());
  }

  TEST_CASE("lists: labels, names with spaces, line ends") {
    const TemporaryFolder f;
    f.write_jpeg("pictures/one two.jpg", 1);
    f.write_jpeg("three.jpg", 2);
    f.write("list.txt",
            "pictures/one two.jpg 1\r\n\n" + f.path("three.jpg") + "\t0\n");
    const auto d = open(f.path("list.txt"));
    REQUIRE(d->size() == 2);
    CHECK(d->name(0) == f.path("pictures/one two.jpg"));
    CHECK(d->label(0) == 1);
    CHECK(d->label(1) == 0);
    CHECK(d->classes() == std::vector<std::string>{"0", "1"});
    Image image;
    d->read(1, image);
    CHECK(image.width() == 40);
    f.write("plain.txt", "pictures/one two.jpg\nthree.jpg\n");
    CHECK(open(f.path("plain.txt"))->classes().empty());
    CHECK(open(f.path("plain.txt"))->name(0) == f.path("pictures/one two.jpg"));
  }

  TEST_CASE("lists that are wrong") {
    const TemporaryFolder f;
    f.write_jpeg("a.jpg", 1);
    f.write("empty.txt", "\n\n");
    CHECK(has(refusal(f.path("empty.txt")), "lists no image"));
    f.write("mixed.txt", "a.jpg 1\na.jpg\n");
    CHECK(has(refusal(f.path("mixed.txt")), "mixed.txt:2: no label"));
    f.write("word.txt", "a.jpg\tcat\n");
    CHECK(has(refusal(f.path("word.txt")), "word.txt:1: expected a class"));
    f.write("missing.txt", "b.jpg\n");
    CHECK(has(refusal(f.path("missing.txt")), "not the one image it lists is a file (b.jpg)"));
    f.write("huge.txt", "a.jpg 2000000000\n");
    CHECK(has(refusal(f.path("huge.txt")), "class number 2000000000, limit"));
    CHECK(has(refusal(f.path("mixed.txt"), Split::kTest), "no test split"));
  }

  std::string record(int label, int base) {
    std::string bytes(3073, '\0');
    bytes[0] = static_cast<char>(label);
    for (std::size_t i = 0; i < 3072; ++i)
      bytes[1 + i] = static_cast<char>(static_cast<int>(i / 1024) * 50 +
                                       static_cast<int>(i % 32) + base);
    return bytes;
  }

  TEST_CASE("CIFAR-10: splits, labels, pixels, the folder above") {
    const TemporaryFolder f;
    const std::string in = "cifar-10-batches-bin/";
    f.write(in + "data_batch_1.bin", record(3, 0) + record(9, 1));
    f.write(in + "data_batch_2.bin", record(0, 7));
    f.write(in + "test_batch.bin", record(5, 2));
    f.write(in + "batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
    const auto train = open(f.path());
    REQUIRE(train->size() == 3);
    CHECK(train->label(1) == 9);
    CHECK(train->classes()[3] == "d");
    CHECK(train->name(1) == "data_batch_1.bin:1");
    CHECK(train->name(2) == "data_batch_2.bin:0");
    Image image;
    train->read(2, image);
    REQUIRE(image.width() == 32);
    REQUIRE(image.height() == 32);
    CHECK(image.row(4)[3 * 6] == 6 + 7);        // red
    CHECK(image.row(4)[3 * 6 + 2] == 100 + 13);  // blue
    std::vector<std::uint8_t> bytes;
    CHECK(!train->read_file(0, bytes));
    const auto test = open(f.path(in), Split::kTest);
    REQUIRE(test->size() == 1);
    CHECK(test->label(0) == 5);
  }

  TEST_CASE("CIFAR-10 that is wrong") {
    const TemporaryFolder f;
    f.write("data_batch_1.bin", record(3, 0) + "x");
    CHECK(has(refusal(f.path()),
              "is 3074 bytes, expected a multiple of 3073"));
    CHECK(has(refusal(f.path(), Split::kTest), "expected test_batch.bin"));
    f.write("data_batch_1.bin", "");
    CHECK(has(refusal(f.path()), "is 0 bytes"));
    f.write("data_batch_1.bin", record(12, 0));
    CHECK(has(refusal(f.path()), "record 0 has label 12, expected 0 to 9"));
    // Pre-training uses no label.
    const Logged logged;
    const auto images = open(f.path(), Split::kPretrain);
    REQUIRE(images->size() == 1);
    CHECK(images->label(0) == -1);
    CHECK(has(logged.text(), "1 label out of range (12 of data_batch_1.bin:0)"));
    const TemporaryFolder python;
    python.write("data_batch_1", "pickle");
    CHECK(has(refusal(python.path()), "is the Python version of CIFAR-10"));
  }

  TEST_CASE("CIFAR-100: the fine labels; known by its class names or its size") {
    const TemporaryFolder f;
    const auto two_labels = [](int coarse, int fine, int base) {
      return static_cast<char>(coarse) + record(fine, base);
    };
    f.write("train.bin", two_labels(19, 99, 0) + two_labels(3, 4, 1) + "x");
    const std::string anybody = refusal(f.path());  // such are the names of any records
    CHECK(has(anybody, "no image found"));
    CHECK(!has(anybody, "for CIFAR or STL-10 give"));  // the folder that was given
    f.write("train.bin", two_labels(19, 99, 0) + two_labels(3, 4, 1));
    f.write("test.bin", two_labels(0, 1, 2));
    CHECK(open(f.path())->label(0) == 99);
    CHECK(open(f.path())->classes()[99] == "99");
    std::string names;
    for (int c = 0; c < 100; ++c) names += "class" + std::to_string(c) + "\n";
    f.write("fine_label_names.txt", names);
    const auto d = open(f.path());
    REQUIRE(d->size() == 2);
    CHECK(d->classes()[99] == "class99");
    CHECK(d->label(0) == 99);
    CHECK(d->name(1) == "train.bin:1");
    Image image;
    d->read(1, image);
    CHECK(image.row(4)[3 * 6 + 1] == 50 + 6 + 1);  // green
    CHECK(open(f.path(), Split::kTest)->label(0) == 1);
    f.write("test.bin", two_labels(0, 100, 2));
    CHECK(has(refusal(f.path(), Split::kTest), "has label 100, expected 0 to"));
    f.write("test.bin", record(1, 2));
    CHECK(has(refusal(f.path(), Split::kTest), "multiple of 3074"));
  }

  TEST_CASE("STL-10: columns, labels from 1, unlabelled images to learn from") {
    const TemporaryFolder f;
    const auto image_of = [](int base) {
      std::string bytes(3 * 96 * 96, '\0');
      for (std::size_t i = 0; i < bytes.size(); ++i)  // channel, x, y
        bytes[i] = static_cast<char>(i / 9216 * 70 + i % 96 / 2 +
                                     i / 96 % 96 / 4 +
                                     static_cast<std::size_t>(base));
      return bytes;
    };
    const std::string in = "stl10_binary/";
    f.write(in + "train_X.bin", image_of(0) + image_of(1));
    f.write(in + "train_y.bin", "\x01\x0a");
    f.write(in + "test_X.bin", image_of(2));
    f.write(in + "test_y.bin", "\x05");
    f.write(in + "class_names.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n");
    const auto train = open(f.path());
    REQUIRE(train->size() == 2);
    CHECK(train->label(0) == 0);
    CHECK(train->label(1) == 9);
    CHECK(train->classes()[9] == "j");
    Image image;
    train->read(1, image);
    REQUIRE(image.width() == 96);
    CHECK(image.row(10)[3 * 40] == 10 / 2 + 40 / 4 + 1);          // red
    CHECK(image.row(10)[3 * 40 + 2] == 140 + 10 / 2 + 40 / 4 + 1);  // blue
    CHECK(open(f.path(in), Split::kTest)->label(0) == 4);
    CHECK(open(f.path(), Split::kPretrain)->size() == 2);
    f.write(in + "unlabeled_X.bin", image_of(7) + image_of(8) + image_of(9));
    CHECK(open(f.path())->size() == 2);
    const auto all = open(f.path(), Split::kPretrain);
    REQUIRE(all->size() == 5);
    CHECK(all->classes().empty());
    for (std::int64_t i = 0; i < 5; ++i) CHECK(all->label(i) == -1);
    CHECK(all->name(4) == "unlabeled_X.bin:2");
    all->read(4, image);
    CHECK(image.row(0)[0] == 9);

    f.write(in + "train_y.bin", "\x01");
    CHECK(has(refusal(f.path()), "has 1 labels"));
    f.write(in + "train_y.bin", "\x01\x0b");
    CHECK(has(refusal(f.path()), "image 1 has label 11, expected 1 to 10"));
    f.write(in + "test_X.bin", "short");
    CHECK(has(refusal(f.path(), Split::kTest), "multiple of 27648"));
    fs::remove(f.path(in + "train_y.bin"));
    CHECK(has(refusal(f.path()), "expected train_y.bin of STL-10"));
  }

  TEST_CASE("a subset is drawn by seed and keeps names and labels") {
    const TemporaryFolder f;
    for (int i = 0; i < 20; ++i)
      f.write_jpeg((i % 2 ? "a/" : "b/") + std::to_string(i) + ".jpg", i);
    const auto whole = open(f.path());
    const auto names = [](const Dataset& d) {
      std::vector<std::string> all;
      for (std::int64_t i = 0; i < d.size(); ++i) all.push_back(d.name(i));
      return all;
    };
    const auto part = subset(open(f.path()), 7, 1);
    const auto chosen = names(*part);
    CHECK(chosen.size() == 7);
    CHECK(names(*subset(open(f.path()), 7, 1)) == chosen);
    CHECK(names(*subset(open(f.path()), 7, 2)) != chosen);
    const auto all = names(*whole);
    for (std::size_t i = 0; i < 7; ++i) {
      const auto at = std::find(all.begin(), all.end(), chosen[i]);
      REQUIRE(at != all.end());
      CHECK(part->label(static_cast<std::int64_t>(i)) ==
            whole->label(at - all.begin()));
    }
    CHECK(std::set(chosen.begin(), chosen.end()).size() == 7);
    CHECK(subset(open(f.path()), 0, 1)->size() == 20);
    CHECK(subset(open(f.path()), 99, 1)->size() == 20);
  }

  TEST_CASE("a view shows the images of its numbers") {
    const TemporaryFolder f;
    for (int i = 0; i < 4; ++i)
      f.write_jpeg((i < 2 ? "a/" : "b/") + std::to_string(i) + ".jpg", i);
    const auto whole = open(f.path());
    const auto part = view(*whole, {1, 3});
    REQUIRE(part->size() == 2);
    CHECK(part->name(0) == whole->name(1));
    CHECK(part->label(1) == 1);
    CHECK(part->classes() == whole->classes());
  }

  TEST_CASE("which paths have test images of their own") {
    const TemporaryFolder f;
    f.write_jpeg("both/train/a/1.jpg", 1);
    f.write_jpeg("both/val/a/2.jpg", 2);
    f.write("list", "both/train/a/1.jpg 0\n");
    CHECK(has_test_split(f.path("both"), DatasetFormat::kAuto));
    CHECK(!has_test_split(f.path("both/train"), DatasetFormat::kAuto));
    CHECK(!has_test_split(f.path("list"), DatasetFormat::kAuto));
    CHECK(!has_test_split(f.path("none"), DatasetFormat::kAuto));
    CHECK(has_test_split(f.path("both/train"), DatasetFormat::kCifar10));
  }
}
