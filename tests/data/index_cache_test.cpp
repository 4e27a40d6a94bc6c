// Tables kept between runs: used while nothing changed, made anew otherwise.

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <set>
#include <string>

#include "data/index_cache.h"
#include "data/tar.h"
#include "tests/data/open_dataset.h"
#include "tests/data/temporary_folder.h"
#include "tests/support/scratch.h"

TEST_SUITE("index_cache") {
  using namespace music::data;
  namespace fs = std::filesystem;

  // A cache of the test's own.
  struct CacheFolder {
    TemporaryFolder folder;
    CacheFolder() {
      setenv("MUSIC_INDEX_CACHE", folder.path("cache").c_str(), 1);
    }
    ~CacheFolder() { unsetenv("MUSIC_INDEX_CACHE"); }

    // The one file in it; empty: none.
    std::string file() const {
      std::string found;
      if (fs::exists(folder.path("cache")))
        for (const auto& entry : fs::directory_iterator(folder.path("cache")))
          found = entry.path().string();
      return found;
    }
    fs::file_time_type time() const { return fs::last_write_time(file()); }
  };

  // Changed so long ago that a change now would show.
  static void settle(const std::string& path) {
    const auto then = fs::file_time_type::clock::now() - std::chrono::hours(1);
    fs::last_write_time(path, then);
    if (fs::is_directory(path))
      for (const auto& entry : fs::recursive_directory_iterator(path))
        if (entry.is_directory() || entry.path().extension() == ".tar")
          fs::last_write_time(entry.path(), then);
  }

  static std::vector<std::string> names(const Dataset& d) {
    std::vector<std::string> all;
    for (std::int64_t i = 0; i < d.size(); ++i)
      all.push_back(d.name(i) + " " + std::to_string(d.label(i)));
    return all;
  }

  TEST_CASE("a folder is listed again when it changed, and only then") {
    const CacheFolder cache;
    const TemporaryFolder f;
    for (int i = 0; i < IndexCache::kWorthwhile; ++i)
      f.write((i % 2 ? "b/" : "a/deep/") + std::to_string(i) + ".jpg", "");
    const auto first = names(*open(f.path()));
    CHECK(cache.file().empty());  // changed just now
    settle(f.path());
    CHECK(names(*open(f.path())) == first);
    REQUIRE(!cache.file().empty());
    const auto written = cache.time();

    const auto kept = open(f.path());
    CHECK(names(*kept) == first);
    CHECK(kept->classes() == std::vector<std::string>{"a", "b"});
    CHECK(cache.time() == written);

    fs::rename(f.path("a/deep/0.jpg"), f.path("a/deep/new.jpg"));
    f.write("a/deep/added.jpg", "");
    const auto more = open(f.path());
    CHECK(more->size() == kept->size() + 1);
    const auto now = names(*more);
    CHECK(std::set(now.begin(), now.end())
              .count(f.path("a/deep/new.jpg") + " 0") == 1);
    fs::remove(f.path("b/1.jpg"));
    CHECK(open(f.path())->size() == kept->size());
    fs::remove_all(f.path("a"));
    fs::create_directory_symlink("b", f.path("a"));
    CHECK(open(f.path())->size() == 2 * (IndexCache::kWorthwhile / 2 - 1));
  }

  TEST_CASE("a kept table is what is used; a damaged one is not") {
    const CacheFolder cache;
    const TemporaryFolder f;
    f.write("in/1.jpg", "");
    SampleTable table;
    for (int i = 0; i < IndexCache::kWorthwhile; ++i) {
      table.names.add("image " + std::to_string(i));
      table.labels.push_back(i % 3);
    }
    table.classes = {"x", "y", "z"};
    settle(f.path("in"));
    IndexCache writer("folder", f.path("in"));
    CHECK(!writer.load());
    writer.watch(f.path("in"));
    writer.save(table);
    CHECK(open(f.path("in"))->name(7) == f.path("in/image 7"));
    CHECK(open(f.path("in"))->classes()[2] == "z");
    CHECK(!IndexCache("shards", f.path("in")).load());

    const std::string whole = music::test::slurp(cache.file());
    for (const std::size_t at : {std::size_t{0}, whole.size() / 2,
                                 whole.size() - 5}) {
      std::string damaged = whole;
      damaged[at] ^= 4;
      std::ofstream(cache.file(), std::ios::binary) << damaged;
      CHECK(open(f.path("in"))->size() == 1);
    }
    std::ofstream(cache.file(), std::ios::binary) << whole.substr(0, 1000);
    CHECK(open(f.path("in"))->size() == 1);
    std::ofstream(cache.file(), std::ios::binary) << whole;
    CHECK(open(f.path("in"))->size() == IndexCache::kWorthwhile);
    for (const int label : {-2, 3}) {
      SampleTable wrong = table;
      wrong.labels.back() = label;
      writer.save(wrong);
      CHECK(open(f.path("in"))->size() == 1);
    }
    SampleTable wrong = table;
    wrong.shard.assign(table.labels.size(), 0);
    writer.save(wrong);
    CHECK(open(f.path("in"))->size() == 1);
    writer.save(table);
    CHECK(open(f.path("in"))->size() == IndexCache::kWorthwhile);
    // The same path read through another one is another key.
    setenv("MUSIC_INDEX_CACHE", "off", 1);
    CHECK(open(f.path("in"))->size() == 1);
    setenv("MUSIC_INDEX_CACHE", f.path("in/1.jpg").c_str(), 1);  // no folder
    CHECK(open(f.path("in"))->size() == 1);
  }

  TEST_CASE("what is said of shards is kept, for each choice of images") {
    const CacheFolder cache;
    const TemporaryFolder f;
    TarWriter tar(f.path("s-0.tar"));
    for (int i = 0; i < IndexCache::kWorthwhile; ++i)
      for (const char* suffix : {".depth.png", ".jpg"})
        tar.add(std::to_string(i) + suffix, {});
    const std::string_view label = "1";
    tar.add("0.cls", std::as_bytes(std::span(label)));
    tar.add("1.cls", std::as_bytes(std::span(label)));
    tar.add("x.jpg", {});
    tar.add("x.cls", std::as_bytes(std::span(label)));
    tar.commit();
    settle(f.path());
    CHECK(open(f.path())->name(0) == f.path("s-0.tar") + ":0.jpg");
    const auto kept = IndexCache("shards", f.path()).load();
    REQUIRE(kept);
    REQUIRE(kept->notes.size() == 3);
    CHECK(has(kept->notes[0], "10000 images are not used, as their samples have "
                              "another (0.jpg before 0.depth.png, "));
    CHECK(has(kept->notes[1], "2 samples have no image (0.cls, 1.cls); "));
    CHECK(has(kept->notes[2], "2 samples have the key of another in their shard "
                              "(0.jpg, 1.jpg); "));
    REQUIRE(kept->label_notes.size() == 1);
    CHECK(has(kept->label_notes[0], "10000 images have no label (0.jpg, 1.jpg, "
                                    "2.jpg, ...)"));
    CHECK(open(f.path("") + "#depth.png")->name(0) ==
          f.path("s-0.tar") + ":0.depth.png");
    CHECK(open(f.path())->name(0) == f.path("s-0.tar") + ":0.jpg");
  }

  TEST_CASE("shards are scanned again when one changed") {
    const CacheFolder cache;
    const TemporaryFolder f;
    const auto make = [&](int shard, int images) {
      TarWriter tar(f.path("s-" + std::to_string(shard) + ".tar"));
      const std::string_view label = "1", image = "jpeg";
      for (int i = 0; i < images; ++i) {
        tar.add(std::to_string(i) + ".jpg", std::as_bytes(std::span(image)));
        tar.add(std::to_string(i) + ".cls", std::as_bytes(std::span(label)));
      }
      tar.commit();
    };
    make(0, 9'000);
    make(1, 2'000);
    settle(f.path());
    const auto first = open(f.path());
    REQUIRE(!cache.file().empty());
    const auto written = cache.time();
    const auto kept = open(f.path());
    CHECK(cache.time() == written);
    CHECK(names(*kept) == names(*first));
    CHECK(kept->classes().size() == 2);
    std::vector<std::uint8_t> bytes;
    CHECK(kept->read_file(10'999, bytes));
    CHECK(bytes == std::vector<std::uint8_t>{'j', 'p', 'e', 'g'});
    make(1, 1'999);
    CHECK(open(f.path())->size() == 10'999);
    make(2, 1);
    CHECK(open(f.path())->size() == 11'000);
    fs::remove(f.path("s-0.tar"));
    CHECK(open(f.path())->size() == 2'000);
  }
}
