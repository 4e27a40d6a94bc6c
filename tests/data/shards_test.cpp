// Tar shards: what tar(1) writes is found at the right bytes; what music_shard
// writes comes back unchanged.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "data/png.h"
#include "data/shard_writer.h"
#include "data/tar.h"
#include "tests/data/open_dataset.h"
#include "tests/data/temporary_folder.h"
#include "tests/support/scratch.h"

TEST_SUITE("shards") {
  using namespace music::data;
  using music::test::slurp;
  namespace fs = std::filesystem;

  void shell(const std::string& command) {
    REQUIRE(std::system(command.c_str()) == 0);
  }

  // tar(1) of everything in the folder f/in, in order of names.
  void tar(const TemporaryFolder& f, const std::string& options,
           const std::string& out) {
    shell("cd '" + f.path("in") + "' && tar --sort=name " + options +
          " -cf '" + f.path(out) + "' *");
  }

  std::string bytes_of(const Dataset& d, std::int64_t i) {
    std::vector<std::uint8_t> bytes;
    REQUIRE(d.read_file(i, bytes));
    return {bytes.begin(), bytes.end()};
  }

  TEST_CASE("members of every kind of tar lie where scan_tar says") {
    const TemporaryFolder f;
    std::map<std::string, std::string> files{
        {"empty", ""},
        {"caf\xc3\xa9/na\xc3\xafve.txt", "UTF-8"},
        {"bytes\xff.txt", "no UTF-8"},
        {"block", std::string(512, 'b')},
        {"sub/more", std::string(100'000, 'm')}};
    for (const auto& [name, bytes] : files) f.write("in/" + name, bytes);
    fs::create_symlink("block", f.path("in/link"));
    fs::create_hard_link(f.path("in/block"), f.path("in/same"));
    // Too long for the header's field; v7 cannot have them.
    const std::string folder(120, 'd'), leaf(150, 'n');
    for (const char* format : {"v7", "ustar", "gnu", "pax"}) {
      CAPTURE(format);
      if (format == std::string("gnu")) {
        files[folder + "/" + leaf] = "long";
        f.write("in/" + folder + "/" + leaf, "long");
      }
      tar(f, std::string("--format=") + format, "a.tar");
      const music::FileReader file(f.path("a.tar"));
      std::map<std::string, std::string> found;
      scan_tar(file, [&](const TarMember& member) {
        std::string bytes(member.bytes, '\0');
        file.read(member.offset, std::as_writable_bytes(std::span(bytes)));
        found[member.name] = bytes;
      });
      CHECK(found == files);
    }
  }

  TEST_CASE("archives that cannot be indexed") {
    const TemporaryFolder f;
    f.write("in/a.jpg", std::string(2000, 'a'));
    f.write("in/b.jpg", std::string(3000, 'b'));
    const auto refused = [&](const std::string& name) {
      try {
        scan_tar(music::FileReader(f.path(name)), [](const TarMember&) {});
      } catch (const music::Error& failure) {
        CHECK(failure.code() == music::ExitCode::kData);
        return std::string(failure.what());
      }
      return std::string("no error");
    };
    tar(f, "", "whole.tar");
    CHECK(refused("whole.tar") == "no error");
    tar(f, "--gzip", "packed.tar");
    CHECK(has(refused("packed.tar"), "compressed by gzip"));
    f.write("text.tar", std::string(5000, 'x'));
    CHECK(has(refused("text.tar"), "is no plain tar archive"));
    f.write("empty.tar", "");
    CHECK(has(refused("empty.tar"), "is no plain tar archive"));
    const std::string whole = slurp(f.path("whole.tar"));
    f.write("short.tar", whole.substr(0, 1500));
    CHECK(has(refused("short.tar"), "cut short: 'a.jpg' claims 2000 bytes"));
    f.write("header.tar", whole.substr(0, 512 + 2048 + 100));
    CHECK(has(refused("header.tar"), "damaged after 'a.jpg'"));
    std::string flipped = whole;
    flipped[512 + 2048 + 3] ^= 1;  // in the name of the second header
    f.write("flipped.tar", flipped);
    CHECK(has(refused("flipped.tar"), "damaged after 'a.jpg'"));
    shell("truncate -s 1M '" + f.path("in/a.jpg") + "'");  // a hole
    tar(f, "--sparse", "sparse.tar");
    CHECK(has(refused("sparse.tar"), "'a.jpg' does not lie in one piece"));
  }

  TEST_CASE("files of one sample share a name up to the first dot") {
    const TemporaryFolder f;
    const auto add = [](TarWriter& tar, const std::string& name,
                        std::string_view text) {
      tar.add(name, std::as_bytes(std::span(text)));
    };
    fs::create_directory(f.path("s"));
    TarWriter first(f.path("s/x-0.tar")), second(f.path("s/x-1.tar"));
    add(first, "a/1.cls", "7\n");
    add(first, "a/1.jpg", "one");
    add(first, "a/1.json", "{}");
    add(first, "._a.jpg", "hidden");
    add(first, "b/1.JPEG", "two");
    add(first, "b/1.cls", " 0" + 1);
    second.add("seg/2.mask.png", {});
    add(second, "seg/2.cls", "3");
    first.commit();
    second.commit();
    const auto d = open(f.path("s"));
    REQUIRE(d->size() == 3);
    CHECK(d->name(0) == f.path("s/x-0.tar") + ":a/1.jpg");
    CHECK(d->name(2) == f.path("s/x-1.tar") + ":seg/2.mask.png");
    CHECK(d->label(0) == 7);
    CHECK(d->label(1) == 0);
    CHECK(d->classes().size() == 8);
    CHECK(bytes_of(*d, 1) == "two");
    f.write("s/classes.txt", "a\nb\nc\nd\ne\nf\ng\nh\n");
    CHECK(open(f.path("s"))->classes()[7] == "h");
    f.write("s/classes.txt", "a\n");  // of something else
    CHECK(open(f.path("s"))->classes()[7] == "7");
  }

  TEST_CASE("sets of shards: folder, file, pattern, splits") {
    const TemporaryFolder f;
    const auto make = [&](const std::string& path, int images, int label) {
      fs::create_directories(fs::path(f.path(path)).parent_path());
      TarWriter tar(f.path(path));
      for (int i = 0; i < images; ++i) {
        tar.add(std::to_string(i) + ".jpg", {});
        if (label < 0) continue;
        const std::string text = std::to_string(label);
        tar.add(std::to_string(i) + ".cls", std::as_bytes(std::span(text)));
      }
      tar.commit();
    };
    const auto size = [&](const std::string& path,
                          Split split = Split::kTrain) {
      return open_dataset(f.path(path), DatasetFormat::kAuto, split)->size();
    };
    for (int i = 8; i < 12; ++i)
      make("d/train/t-" + std::string(i < 10 ? "0" : "") + std::to_string(i) +
               ".tar", i, 0);
    make("d/val/v-0.tar", 5, 0);
    CHECK(size("d") == 8 + 9 + 10 + 11);
    CHECK(size("d", Split::kTest) == 5);
    CHECK(size("d/train/t-09.tar") == 9);
    CHECK(size("d/train/t-{09..10}.tar") == 19);
    CHECK(has(refusal(f.path("d/train"), Split::kTest), "has no test split"));
    CHECK(has(refusal(f.path("d/train/t-08.tar"), Split::kTest),
              "a set of shards has no test split"));
    CHECK(has(refusal(f.path("d/train/t-{10..19}.tar")), "t-12.tar"));
    CHECK(has(refusal(f.path("d/train/t-{19..10}.tar")), "no range of shards"));
    CHECK(has(refusal(f.path("d/train/t-{a..b}.tar")), "expected numbers"));
    make("d/train/u-0.tar", 1, -1);
    CHECK(has(refusal(f.path("d/train")), "shards of several sets (t-08.tar"));
    fs::rename(f.path("d/train/u-0.tar"), f.path("d/train/t-12.tar"));
    CHECK(has(refusal(f.path("d/train")), "'0.jpg' has no class number"));
    CHECK(size("d/train/t-12.tar") == 1);
    make("none-0.tar", 0, -1);
    CHECK(has(refusal(f.path("none-0.tar")), "has no image"));
    fs::create_directory(f.path("empty"));
    CHECK(has(refusal(f.path("empty"), Split::kTrain,
                      DatasetFormat::kWebDataset), "no .tar file in it"));
    TarWriter tar(f.path("bad-0.tar"));
    const std::string_view cat = "cat";
    tar.add("0.cls", std::as_bytes(std::span(cat)));
    tar.commit();
    CHECK(has(refusal(f.path("bad-0.tar")),
              "'0.cls' holds 'cat', expected a class number"));
  }

  TEST_CASE("write_shards keeps bytes and labels, and repeats itself") {
    const TemporaryFolder f;
    std::multiset<std::pair<int, std::string>> files;
    for (int i = 0; i < 20; ++i) {
      const std::string name = "in/" + std::string(i % 3 ? "some cats" : "b") +
                               "/" + (i == 4 ? "x.y z" : std::to_string(i)) +
                               ".jpg";
      f.write_jpeg(name, i);
      files.insert({i % 3 ? 1 : 0, slurp(f.path(name))});
    }
    // The same key twice once dots are gone.
    f.write_jpeg("in/some cats/x_y_z.jpg", 99);
    files.insert({1, slurp(f.path("in/some cats/x_y_z.jpg"))});
    Image image;
    image.reset(3, 2);
    const auto png = encode_png(image);
    f.write("in/b/actually.jpg",
            {reinterpret_cast<const char*>(png.data()), png.size()});
    files.insert({0, std::string(png.begin(), png.end())});

    const auto data = open(f.path("in"));
    ShardSpec spec;
    spec.out = f.path("out");
    spec.shard_bytes = 12'000;
    const ShardReport report = write_shards(*data, spec);
    CHECK(report.images == 22);
    CHECK(report.shards >= 3);
    const auto back = open(f.path("out"));
    REQUIRE(back->size() == 22);
    CHECK(back->classes() == data->classes());
    std::multiset<std::pair<int, std::string>> found;
    bool in_order = true;
    std::vector<std::string> keys;
    for (std::int64_t i = 0; i < 22; ++i) {
      found.insert({back->label(i), bytes_of(*back, i)});
      in_order &= bytes_of(*back, i) == bytes_of(*data, i);
      keys.push_back(back->name(i).substr(back->name(i).rfind(':') + 1));
    }
    CHECK(!in_order);
    CHECK(found == files);
    std::sort(keys.begin(), keys.end());
    CHECK(std::unique(keys.begin(), keys.end()) == keys.end());
    CHECK(std::count(keys.begin(), keys.end(), "b/actually.png") == 1);
    CHECK(std::count(keys.begin(), keys.end(), "some_cats/x_y_z_2.jpg") == 1);

    const std::string idx = slurp(f.path("out/train-000000.idx"));
    CHECK(idx.starts_with("v1.2 "));
    CHECK(std::count(idx.begin(), idx.end(), ' ') % 7 == 1);
    CHECK(has(idx, "\njpg 512 "));

    CHECK_THROWS_WITH_AS(
        write_shards(*data, spec),
        doctest::Contains(".tar already: expected"), music::Error);
    ShardSpec again = spec;
    again.out = f.path("again");
    write_shards(*data, again);
    CHECK(slurp(f.path("again/train-000001.tar")) ==
          slurp(f.path("out/train-000001.tar")));
    CHECK(slurp(f.path("again/train.json")) == slurp(f.path("out/train.json")));
    again.out = f.path("other");
    again.seed = 1;
    write_shards(*data, again);
    CHECK(slurp(f.path("other/train-000001.tar")) !=
          slurp(f.path("out/train-000001.tar")));
    again.out = f.path("ordered");
    again.shuffle = false;
    write_shards(*data, again);
    const auto ordered = open(f.path("ordered"));
    for (std::int64_t i = 0; i < 22; ++i)
      CHECK(bytes_of(*ordered, i) == bytes_of(*data, i));
  }

  TEST_CASE("write_shards and files that are no image") {
    const TemporaryFolder f;
    f.write_jpeg("in/1.jpg", 1);
    f.write("in/2.jpg", "GIF89a");
    f.write("in/3.jpg", "");
    const auto data = open(f.path("in"));
    ShardSpec spec;
    spec.out = f.path("out");
    spec.shuffle = false;
    CHECK_THROWS_WITH_AS(write_shards(*data, spec),
                         doctest::Contains("2.jpg: [shards] a GIF, expected"),
                         music::Error);
    CHECK(!fs::exists(f.path("out/train-000000.tar")));
    spec.bad_image = BadImage::kSkip;
    const ShardReport report = write_shards(*data, spec);
    CHECK(report.images == 1);
    REQUIRE(report.bad.size() == 2);
    CHECK(report.bad[1].name == f.path("in/3.jpg"));
    CHECK(open(f.path("out"))->label(0) == -1);
  }
}
