// Tar archives: what tar(1) writes is found at the right bytes; which files are
// the shards of a set.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "data/tar.h"
#include "tests/data/logged.h"
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
      std::set<std::string> links;
      const TarEnd end = scan_tar(file, [&](const TarMember& member) {
        if (member.kind == TarMember::Kind::kLink) {
          links.insert(member.name);
          return;
        }
        std::string bytes(member.bytes, '\0');
        file.read(member.offset, std::as_writable_bytes(std::span(bytes)));
        found[member.name] = bytes;
      });
      CHECK(found == files);
      CHECK(links == std::set<std::string>{"link", "same"});
      CHECK(end.marked);
      CHECK(end.rest == 0);
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
    CHECK(has(refused("packed.tar"), "compressed by gzip, expected a plain "
                                     "archive (gzip -dc OLD > NEW.tar)"));
    tar(f, "--xz", "packed.tar");
    CHECK(has(refused("packed.tar"), "(xz -dc OLD"));
    tar(f, "--bzip2", "packed.tar");
    CHECK(has(refused("packed.tar"), "(bzip2 -dc OLD"));
    f.write("packed.tar", "\x28\xb5\x2f\xfd 4" + std::string(600, 'z'));
    CHECK(has(refused("packed.tar"), "(zstd -dc OLD"));
    f.write("pointer.tar", "version https://git-lfs.github.com/spec/v1\noid");
    CHECK(has(refused("pointer.tar"), "a Git LFS pointer"));
    f.write("page.tar", "<!DOCTYPE html><html>" + std::string(600, ' '));
    CHECK(has(refused("page.tar"), "a page of HTML"));
    f.write("text.tar", std::string(5000, 'x'));
    CHECK(has(refused("text.tar"), "is no plain tar archive"));
    f.write("empty.tar", "");
    CHECK(refused("empty.tar") == "no error");
    const std::string whole = slurp(f.path("whole.tar"));
    f.write("short.tar", whole.substr(0, 1500));
    CHECK(has(refused("short.tar"), "cut short: 'a.jpg' claims 2000 bytes"));
    f.write("header.tar", whole.substr(0, 512 + 2048 + 100));
    CHECK(has(refused("header.tar"), "damaged after 'a.jpg'"));
    std::string flipped = whole;
    flipped[512 + 2048 + 3] ^= 1;  // in the name of the second header
    f.write("flipped.tar", flipped);
    CHECK(has(refused("flipped.tar"), "damaged after 'a.jpg'"));
  }

  // Names of the files of an archive, and its end.
  std::pair<std::vector<std::string>, TarEnd> list(const std::string& path) {
    std::vector<std::string> names;
    const TarEnd end =
        scan_tar(music::FileReader(path), [&](const TarMember& member) {
          if (member.kind == TarMember::Kind::kFile) names.push_back(member.name);
        });
    return {names, end};
  }

  TEST_CASE("the end of an archive: joined ones, zeros, garbage, none") {
    const TemporaryFolder f;
    const auto archive = [&](const std::string& name) {
      TarWriter tar(f.path("t.tar"));
      const std::string_view text = "text";
      tar.add(name, std::as_bytes(std::span(text)));
      tar.commit();
      return slurp(f.path("t.tar"));
    };
    const auto ends = [&](const std::string& bytes) {
      f.write("a.tar", bytes);
      return list(f.path("a.tar"));
    };
    using Names = std::vector<std::string>;
    const std::string a = archive("a"), b = archive("b");
    const std::string member = a.substr(0, 1024), zeros(512, '\0');
    CHECK(ends(a + b + a).first == Names{"a", "b", "a"});
    CHECK(ends(member + zeros + b).first == Names{"a", "b"});
    CHECK(ends(zeros + b).first == Names{"b"});
    CHECK(ends(a + std::string(307'200, '\0') + b).first == Names{"a", "b"});
    CHECK(ends(std::string(10'240, '\0')).first.empty());
    CHECK(ends("").first.empty());
    CHECK(ends(a + b).second.marked);
    CHECK(ends(a + b).second.rest == 0);
    CHECK(!ends(member).second.marked);
    CHECK(ends(member).first == Names{"a"});
    CHECK(!ends(a + b.substr(0, 1024)).second.marked);
    const auto [names, end] = ends(a + std::string(700, 'x'));
    CHECK(names == Names{"a"});
    CHECK(end.rest == 700);
    CHECK_THROWS_AS(ends(a + b.substr(0, 515)), music::Error);
  }

  TEST_CASE("a sparse file is passed over, and what follows is found") {
    const TemporaryFolder f;
    f.write("in/a.jpg", "begins");
    shell("truncate -s 1M '" + f.path("in/a.jpg") + "'");  // a hole
    f.write("in/b.jpg", "whole");
    f.write("in/c.jpg", "");
    shell("truncate -s 1M '" + f.path("in/c.jpg") + "'");
    for (const char* format : {"gnu", "pax"}) {
      tar(f, std::string("--sparse --format=") + format, "a.tar");
      const auto [names, end] = list(f.path("a.tar"));
      CHECK(names == std::vector<std::string>{"b.jpg"});
      CHECK(end.rest == 0);
    }
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
    CHECK(size("d/train") == 8 + 9 + 10 + 11 + 1);  // one without a label
    CHECK(size("d/train/t-12.tar") == 1);
    CHECK(size("d/train/t-{08,10}.tar") == 18);
    CHECK(size("{d,d}/train/t-{08..09}.tar") == 34);
    CHECK(has(refusal(f.path("d/train/t-{08}.tar")), "expected numbers"));
    CHECK(size("d/train/t-0*.tar") == 17);
    CHECK(size("{d,d}/tr*/t-0*.tar") == 34);
    CHECK(has(refusal(f.path("d/train/x*.tar")), "no file has such a name"));
    f.write("d/val/v-1.tar.gz", "");
    f.write("d/val/notes.txt", "");
    f.write("d/val/run/config.toml", "");
    CHECK(size("d/val") == 5);
    make("beside/t-0.tar", 3, -1);
    make("beside/t-1.tar", 3, -1);
    f.write_jpeg("beside/cover.jpg", 1);
    {
      const Logged logged;
      CHECK(size("beside") == 6);
      CHECK(has(logged.text(), "1 picture beside the shards is left out (cover.jpg)"));
    }
    fs::create_directory(f.path("d/val/cats"));
    CHECK(has(refusal(f.path("d/val")), "no image"));
    fs::remove(f.path("d/val/cats"));
    fs::remove(f.path("d/val/v-0.tar"));
    CHECK(has(refusal(f.path("d/val")), "compressed ones (v-1.tar.gz): unpack"));
    CHECK(has(refusal(f.path("d/val/v-1.tar.gz")), "has no image in 1 archive"));
    make("none-0.tar", 0, -1);
    CHECK(has(refusal(f.path("none-0.tar")), "has no image in 1 archive"));
    fs::create_directory(f.path("empty"));
    CHECK(has(refusal(f.path("empty"), Split::kTrain,
                      DatasetFormat::kWebDataset), "no .tar file in it"));
    make("a#b/t-0.tar", 3, -1);
    CHECK(size("a#b") == 3);
    CHECK(size("a#b/t-0.tar#jpg") == 3);
    CHECK(has(refusal(f.path("a#b#png")), "has no image in 1 archive: expected "
                                          "KEY as chosen by #"));
    f.write_jpeg("folder/1.jpg", 1);
    CHECK(has(refusal(f.path("folder#jpg")), "chooses the image in tar shards"));
  }
}
