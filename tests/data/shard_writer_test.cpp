// music_shard: what it writes comes back unchanged, in names that every reader
// takes.

#include <doctest/doctest.h>

#include <algorithm>
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

TEST_SUITE("shard_writer") {
  using namespace music::data;
  using music::test::slurp;
  namespace fs = std::filesystem;

  static std::string bytes_of(const Dataset& d, std::int64_t i) {
    std::vector<std::uint8_t> bytes;
    REQUIRE(d.read_file(i, bytes));
    return {bytes.begin(), bytes.end()};
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

  // DALI 2.4 takes what follows a pax header for files of one nameless sample.
  TEST_CASE("no header but plain ustar ones, whatever the names") {
    const TemporaryFolder f;
    std::vector<std::string> names;
    for (const std::string& folder :
         {std::string("a"), std::string(200, 'c'), std::string("__x__"),
          std::string("caf\xc3\xa9"), "dots.and " + std::string(90, ' ')})
      for (const std::string& file :
           {std::string("1"), std::string(200, 'n'), std::string(200, 'n') + "2",
            std::string(84, 'm') + "\xe7\x8c\xab\xe7\x8c\xab", std::string("y.z")})
        names.push_back(folder + "/" + file + ".jpg");
    for (std::size_t i = 0; i < names.size(); ++i)
      f.write_jpeg("in/" + names[i], static_cast<int>(i), 8, 8);
    const auto data = open(f.path("in"));
    ShardSpec spec;
    spec.out = f.path("out");
    spec.shuffle = false;
    write_shards(*data, spec);
    const std::string tar = slurp(f.path("out/train-000000.tar"));
    int headers = 0;
    for (std::size_t at = 0; tar[at] != 0; ++headers) {
      CHECK(tar[at + 156] == '0');  // a regular file
      CHECK(tar.substr(at + 257, 8) == std::string("ustar\0" "00", 8));
      CHECK(tar[at + 99] != '/');
      const std::size_t bytes = std::stoul(tar.substr(at + 124, 11), nullptr, 8);
      at += 512 + (bytes + 511) / 512 * 512;
    }
    CHECK(headers == 2 * data->size());
    const auto back = open(f.path("out"));
    REQUIRE(back->size() == data->size());
    CHECK(back->classes() == data->classes());
    std::set<std::string> keys;
    for (std::int64_t i = 0; i < back->size(); ++i) {
      CHECK(bytes_of(*back, i) == bytes_of(*data, i));
      CHECK(back->label(i) == data->label(i));
      const std::string name = back->name(i);
      keys.insert(name.substr(name.rfind(".tar:") + 5));
    }
    CHECK(keys.size() == names.size());
    CHECK(keys.count("a/1.jpg") == 1);
    CHECK(keys.count("_x__/1.jpg") == 1);
  }
}
