// Parts of images have the pixels of the whole, whoever decodes them.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "data/decode.h"
#include "data/fast/jpeg.h"
#include "data/partial_reader.h"
#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "tests/data/image_goldens.h"
#include "tests/support/instruction_sets.h"
#include "tests/data/photos.h"

TEST_SUITE("partial_reader") {
  using namespace music::data;

  using Bytes = std::vector<std::uint8_t>;

  Box draw(music::Rng& rng, int width, int height) {
    const auto below = [&rng](int n) {
      return static_cast<int>(rng.below(static_cast<std::uint32_t>(n)));
    };
    Box box;
    box.width = 1 + below(width);
    box.height = 1 + below(height);
    box.x = below(width - box.width + 1);
    box.y = below(height - box.height + 1);
    return box;
  }

  bool same(const Image& part, const Box& box, const Image& whole) {
    if (part.width() != box.width || part.height() != box.height) return false;
    for (int y = 0; y < box.height; ++y)
      if (std::memcmp(part.row(y), whole.row(box.y + y) + 3 * box.x,
                      part.stride()) != 0)
        return false;
    return true;
  }

  // What decode_image makes of it: "" or its error.
  std::string decode(const Bytes& bytes, Image& image) {
    try {
      decode_image(bytes, image);
    } catch (const music::Error& failure) {
      return failure.what();
    }
    return "";
  }

  // The same through the reader, held to the whole: "" or the error, which may
  // come from either call.
  std::string read_parts(PartialReader& reader, const Bytes& bytes,
                         const Image& whole, int boxes, music::Rng& rng) {
    Image part;
    for (int i = 0; i < boxes; ++i) {
      try {
        reader.open(bytes);
        const int width = reader.width(), height = reader.height();
        const Box wanted =
            i == 0 ? Box{0, 0, width, height} : draw(rng, width, height);
        const Box held = reader.read(wanted, part);
        CHECK(held.x <= wanted.x);
        CHECK(held.y <= wanted.y);
        CHECK(held.x + held.width >= wanted.x + wanted.width);
        CHECK(held.y + held.height >= wanted.y + wanted.height);
        if (!same(part, held, whole)) return "pixels differ";
      } catch (const music::Error& failure) {
        return failure.what();
      }
    }
    return "";
  }

  TEST_CASE("every kind of file, any part") {
    const ImageGoldens goldens;
    // Which the fast reader takes itself.
    const std::map<std::string, bool> plain{
        {"420", true},           {"444", true},          {"422", true},
        {"420_restarts", true},  {"444_restarts", true}, {"gray", true},
        {"narrow", false},       {"rgb_jpeg", false},    {"cmyk", false},
        {"422_progressive", false}};
    PartialReader reader;
    Image whole;
    music::Rng rng(1, music::RngPurpose::kTest);
    int taken = 0;
    for (const GoldenCase& c : goldens.of("file")) {
      CAPTURE(c.line);
      const Bytes bytes(c.bytes.begin(), c.bytes.end());
      REQUIRE(decode(bytes, whole) == "");
      CHECK(read_parts(reader, bytes, whole, 200, rng) == "");
      const auto known = plain.find(c.parameters[0]);
      if (known == plain.end()) continue;
      fast::JpegReader jpeg;
      CHECK(jpeg.open(bytes) == known->second);
      ++taken;
    }
    CHECK(taken == 10);
  }

  TEST_CASE("every instruction set has the pixels of the whole") {
    const ImageGoldens goldens;
    PartialReader reader;
    Image whole;
    const int sets = music::test::for_each_instruction_set([&](const std::string& name) {
      CAPTURE(name);
      music::Rng rng(4, music::RngPurpose::kTest);
      for (const GoldenCase& c : goldens.of("file")) {
        CAPTURE(c.line);
        const Bytes bytes(c.bytes.begin(), c.bytes.end());
        REQUIRE(decode(bytes, whole) == "");
        CHECK(read_parts(reader, bytes, whole, 30, rng) == "");
      }
    });
    CHECK(sets > 1);
  }

  TEST_CASE("real and odd files: pixels and errors of decode_image") {
    const auto data = shared_data();
    if (!data) {
      MESSAGE("[skipped] no shared data");
      return;
    }
    PartialReader reader;
    fast::JpegReader jpeg;
    Image whole;
    music::Rng rng(2, music::RngPurpose::kTest);
    int files = 0, plain = 0;
    for (const char* folder : {"imagenet-sample", "odd"}) {
      for (const auto& path : files_below(*data / folder)) {
        CAPTURE(path);
        const Bytes bytes = read_bytes(path);
        const std::string problem = decode(bytes, whole);
        CHECK(read_parts(reader, bytes, whole, 3, rng) == problem);
        ++files;
        plain += jpeg.open(bytes);
      }
    }
    MESSAGE(plain << " of " << files << " files read in part");
    CHECK(plain > 350);
  }

  TEST_CASE("damage: decode_image's error, or pixels where it has them") {
    const ImageGoldens goldens;
    PartialReader reader;
    Image whole;
    music::Rng rng(3, music::RngPurpose::kTest);
    int refused = 0, damaged = 0;
    for (const GoldenCase& c : goldens.of("file")) {
      if (c.bytes[0] != 0xFF) continue;
      for (int round = 0; round < 150; ++round) {
        Bytes bytes(c.bytes.begin(), c.bytes.end());
        const auto at = rng.below(static_cast<std::uint32_t>(bytes.size()));
        switch (round % 3) {
          case 0: bytes[at] = static_cast<std::uint8_t>(rng.next()); break;
          case 1: bytes[at] ^= static_cast<std::uint8_t>(1 << rng.below(8));
            break;
          default: bytes.resize(at); break;
        }
        CAPTURE(c.line);
        CAPTURE(round);
        const std::string problem = decode(bytes, whole);
        const std::string other = read_parts(reader, bytes, whole, 4, rng);
        CHECK(other == problem);
        refused += !problem.empty();
        ++damaged;
      }
    }
    CHECK(refused > damaged / 5);
    CHECK(refused < damaged);
  }

  TEST_CASE("Huffman tables that are none are refused") {
    fast::HuffmanTable table;
    fast::HuffmanSpec spec;
    spec.defined = true;
    spec.counts[1] = 2;  // 00, 01
    spec.symbols = {0, 1};
    CHECK(table.build(spec, true));
    CHECK(table.build(spec, false));
    spec.symbols = {0, 12};  // a difference of 12 bits
    CHECK_FALSE(table.build(spec, true));
    spec.symbols = {0, 0x0B};  // a coefficient of 11 bits
    CHECK_FALSE(table.build(spec, false));
    spec.symbols = {0, 0x20};  // a run without a coefficient
    CHECK_FALSE(table.build(spec, false));
    spec.symbols = {0, 0xF0};
    CHECK(table.build(spec, false));
    spec.counts[1] = 4;  // all ones is a code
    spec.symbols = {1, 2, 3, 4};
    CHECK_FALSE(table.build(spec, false));
    spec.counts = {};
    spec.counts[0] = 1;
    spec.counts[15] = 2;  // 10...0, 10...1
    spec.symbols = {0, 1, 2};
    REQUIRE(table.build(spec, false));
    const auto find = [&](std::uint64_t bits) {
      auto e = fast::HuffmanTable::look_up(table.table(), bits);
      if (fast::HuffmanTable::step(e) == fast::HuffmanTable::kLongCode)
        e = table.find_long(bits);
      return e;
    };
    using Table = fast::HuffmanTable;
    CHECK(Table::step(find(0)) == Table::kEndOfBlock);
    CHECK(Table::value(find(0x8000'8000'0000'0000u), 0x8000'8000'0000'0000u) ==
          1);
    CHECK(Table::value(find(0x8001'4000'0000'0000u), 0x8001'4000'0000'0000u) ==
          -2);
    CHECK(Table::step(find(0x8002'0000'0000'0000u)) == Table::kNoCode);
  }
}
