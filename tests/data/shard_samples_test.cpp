// Which files of a shard are a sample, which of them is its image, what its label
// is, and what is said of the rest. tools/peers/check_webdataset.py holds the same
// rule against the webdataset package.

#include <doctest/doctest.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/dataset_files.h"
#include "data/shard_samples.h"
#include "data/tar.h"
#include "tests/data/open_dataset.h"
#include "tests/data/temporary_folder.h"

TEST_SUITE("shard_samples") {
  using namespace music::data;
  namespace fs = std::filesystem;
  using Members = std::vector<std::pair<std::string, std::string>>;
  using Names = std::vector<std::string>;

  struct Shards {
    TemporaryFolder f;
    int count = 0;

    std::string add(const Members& members) {
      const std::string path = f.path("s-" + std::to_string(count++) + ".tar");
      TarWriter tar(path);
      for (const auto& [name, text] : members)
        tar.add(name, std::as_bytes(std::span(text)));
      tar.commit();
      return path;
    }
  };

  Members files(std::initializer_list<std::string_view> names) {
    Members members;
    for (const std::string_view name : names) members.emplace_back(name, "x");
    return members;
  }

  ShardSamples scan(const Members& members, std::string_view key = "") {
    Shards shards;
    return scan_shard(shards.add(members), ImageKey(key));
  }

  Names names_of(const SampleTable& table) {
    Names names;
    for (std::size_t i = 0; i < table.names.size(); ++i)
      names.emplace_back(table.names[i]);
    return names;
  }
  // Of images, by the rule or a key.
  Names images(std::initializer_list<std::string_view> names,
               std::string_view key = "") {
    return names_of(scan(files(names), key).table);
  }

  TEST_CASE("the image of a sample") {
    CHECK(images({"a.depth.png", "a.jpg"}) == Names{"a.jpg"});
    CHECK(images({"a.png", "a.jpg"}) == Names{"a.jpg"});
    CHECK(images({"a.webp", "a.png"}) == Names{"a.png"});
    CHECK(images({"a.mask.png"}) == Names{"a.mask.png"});
    CHECK(images({"a.seg.png", "a.rgb.jpg"}) == Names{"a.rgb.jpg"});
    CHECK(images({"a.0.jpg", "a.1.jpg"}) == Names{"a.0.jpg"});
    CHECK(images({"a.JPG", "b.Png", "c.jfif", "d.JPE", "e.WebP"}).size() == 5);
    CHECK(images({"d.1/a.jpg", "./b.jpg", "/c.jpg"}) ==
          Names{"d.1/a.jpg", "./b.jpg", "/c.jpg"});
    CHECK(images({"a.npy", "a.json", "a.txt", "a.pkl", "b.mp4"}).empty());
    CHECK(images({"d/._a.jpg", "._a.jpg", ".b.jpg", "a.jpg"}) == Names{"a.jpg"});
    // Of a format that is not read: not replaced by something else.
    CHECK(images({"a.tif", "a.depth.png", "b.jpg", "b.tiff"}) == Names{"b.jpg"});
  }

  TEST_CASE("a choice by what follows the key") {
    const std::initializer_list<std::string_view> some{"a.jpg", "a.RGB.png", "b.jpg", "b.rgb.jpg"};
    CHECK(images(some, "rgb.png") == Names{"a.RGB.png"});
    CHECK(images(some, "rgb.png;jpg") == Names{"a.RGB.png", "b.jpg"});
    CHECK(images(some, ".Rgb.PNG;rgb.jpg;") == Names{"a.RGB.png", "b.rgb.jpg"});
    CHECK(images(some, "all") == Names(some.begin(), some.end()));
    CHECK(images({"a.img", "b.bin"}, "img") == Names{"a.img"});
    CHECK(images({"v1.0.jpg", "v1.1.jpg", "v1.2.tif"}, "all") ==
          Names{"v1.0.jpg", "v1.1.jpg"});
    const ShardSamples dots = scan({{"v1.0.jpg", ""}, {"v1.0.cls", "4"},
                                    {"v1.1.cls", "5"}, {"v1.1.png", ""},
                                    {"v1.1.jpg", ""}}, "all");
    CHECK(dots.table.labels == std::vector<int>{4, 5, 5});
  }

  TEST_CASE("what is not used is counted, and the first named") {
    const auto check = [](const Tally& tally, std::int64_t count,
                          const std::string& list) {
      CHECK(tally.count == count);
      CHECK(tally.list() == list);
    };
    ShardSamples s = scan(files({"a.b.1.jpg", "a.b.2.jpg", "a.b.3.jpg", "b.jpg"}));
    check(s.others, 2, "a.b.1.jpg before a.b.2.jpg, ...");
    s = scan(files({"a.depth.png", "a.tif", "a.jpg"}));
    check(s.others, 1, "a.jpg before a.depth.png");
    check(s.unread, 0, "");
    s = scan(files({"a.tif", "b.gif", "c.bmp", "d.heic", "e.jpg"}));
    check(s.unread, 4, "a.tif, b.gif, c.bmp, ...");
    check(s.no_image, 0, "");
    s = scan(files({"a.npy", "b.txt", "c.jpg", "README"}));
    check(s.no_image, 2, "a.npy, b.txt");
    s = scan({{"README", "text"}, {"x/1", "\xff\xd8\xff\xe0 ..."}, {"a.jpg", ""}});
    check(s.nameless, 1, "x/1");
    s = scan(files({"a.jpg", "a.JPG", "a.jpg", "b.jpg"}));
    check(s.repeated, 2, "a.JPG, a.jpg");
    CHECK(names_of(s.table) == Names{"a.jpg", "b.jpg"});
    s = scan(files({"a.jpg", "b.jpg", "a.cls", "b.cls", "a.jpg", "c.jpg"}));
    CHECK(s.apart.count == 3);
    CHECK(s.table.size() == 4);
    check(s.no_image, 2, "a.cls, b.cls");
    s = scan(files({"__meta__/a.jpg", "__x__/b.txt", "__y__", "__z.jpg"}));
    check(s.meta, 1, "__meta__/a.jpg");
    CHECK(names_of(s.table) == Names{"__z.jpg"});
    s = scan(files({"d/1.jpg", "d/@eaDir/1.jpg/THUMB_M.jpg", "d/@eaDir/1.jpg/x.cls",
                    "d/2.jpg", "d/__macosx/2.jpg", "./.c/3.jpg", "lost+found.jpg"}));
    check(s.system, 2, "d/@eaDir/1.jpg/THUMB_M.jpg, d/__macosx/2.jpg");
    CHECK(names_of(s.table) == Names{"d/1.jpg", "d/2.jpg", "./.c/3.jpg", "lost+found.jpg"});
  }

  // Under every text its number, -1 for none, -2 for a name, -3 for neither.
  int label_of(const std::string& text) {
    const ShardSamples s = scan({{"a.jpg", ""}, {"a.cls", text}});
    CHECK(s.numbered == (s.table.labels[0] >= 0));
    return s.bad_label.count > 0 ? -3 : s.table.labels[0];
  }

  TEST_CASE("labels: numbers, names, nothing") {
    for (const char* three : {"3", "3\n", " 3 \r\n", "+3", "003", "3.0", "3.", "\t3"})
      CHECK(label_of(three) == 3);
    CHECK(label_of("0") == 0);
    CHECK(label_of("99999") == kMostClasses - 1);
    for (const char* none : {"", " \n", "-1", "-1.0\n"}) CHECK(label_of(none) == -1);
    for (const char* name : {"n01440764", "golden retriever\n", "\xe7\x8c\xab", "1e5"})
      CHECK(label_of(name) == -2);
    for (const char* bad : {"-2", "3.5", "3 4", "3,4", "100000", "99999999999",
                            "1_0", "{\"label\": 3}", "[3]", "\"3\"", "a\nb", "+-1",
                            "\x80\x04K\x03.", "\xff\xd8 cat", "\xe7\x8c"})
      CHECK(label_of(bad) == -3);
    CHECK(label_of(std::string(129, 'x')) == -3);
    CHECK(label_of(std::string("3\0", 2)) == -3);
  }

  // Of a set with these shards, of every image.
  Names classes_of(const std::vector<Members>& all, bool labels) {
    Shards shards;
    for (const Members& members : all) shards.add(members);
    const auto set = open_shards(shards.f.path(), "", labels);
    Names found;
    for (std::int64_t i = 0; i < set->size(); ++i)
      found.push_back(set->label(i) < 0
                          ? "-"
                          : set->classes()[static_cast<std::size_t>(set->label(i))]);
    return found;
  }

  TEST_CASE("labels of a set") {
    for (const bool used : {false, true}) {
      // Names are classes, sorted, over all shards.
      CHECK(classes_of({{{"a.jpg", ""}, {"a.cls", "n02\n"}},
                   {{"b.cls", "n01"}, {"b.jpg", ""}, {"c.jpg", ""}}}, used) ==
            Names{"n02", "n01", "-"});
      // Numbers beside names say nothing.
      CHECK(classes_of({{{"a.jpg", ""}, {"a.cls", "n02"}},
                   {{"b.cls", "1"}, {"b.jpg", ""}}}, used) == Names{"-", "-"});
      CHECK(classes_of({{{"a.jpg", ""}, {"a.cls", "7"}}, {},
                   {{"b.jpg", ""}, {"b.cls", "x y\nz"}}}, used) ==
            Names{"7", "-"});
    }
  }

  TEST_CASE("shards of nothing among others") {
    Shards shards;
    shards.add(files({"a.jpg"}));
    shards.add({});
    shards.add(files({"b.json"}));
    shards.f.write("s-3.tar", "");
    shards.add({});  // s-3 again
    CHECK(open(shards.f.path())->size() == 1);
    fs::remove(shards.f.path("s-0.tar"));
    CHECK(has(refusal(shards.f.path()),
              "has no image in 3 archives: expected KEY.jpg, .jpeg, .png or .webp; "
              "samples without one: 1 (b.json)"));
  }
}
