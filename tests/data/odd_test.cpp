// The decoders on shared/data/odd: valid but unusual, damaged and mislabelled
// files, against what libjpeg's djpeg and Pillow made of them.

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "data/decode.h"
#include "engine/core/error.h"
#include "tests/data/photos.h"
#include "tests/data/sha256.h"

TEST_SUITE("odd") {
  using namespace music::data;

  // Of the file that djpeg -pnm writes.
  static std::string pnm_hash(const Image& image, bool gray) {
    const std::string head = std::string(gray ? "P5" : "P6") + "\n" +
                             std::to_string(image.width()) + " " +
                             std::to_string(image.height()) + "\n255\n";
    std::vector<std::uint8_t> file(head.begin(), head.end());
    for (std::size_t i = 0; i < image.bytes(); i += gray ? 3 : 1)
      file.push_back(image.data()[i]);
    return sha256(std::move(file));
  }

  TEST_CASE("odd files: the reference's pixels, or an error; never a crash") {
    const auto data = shared_data();
    if (!data) {
      MESSAGE("[skipped] no shared data");
      return;
    }
    std::ifstream table(*data / "odd" / "REFERENCE.tsv");
    std::string line;
    std::getline(table, line);  // the heading
    Image image;
    int files = 0, decoded = 0, hashed = 0;
    while (std::getline(table, line)) {
      CAPTURE(line);
      std::vector<std::string> cell;
      std::istringstream cells(line);
      for (std::string c; std::getline(cells, c, '\t');) cell.push_back(c);
      REQUIRE(cell.size() >= 11);
      ++files;
      const auto bytes = read_bytes(*data / "odd" / cell[0]);
      std::string problem;
      try {
        decode_image(bytes, image);
      } catch (const music::Error& failure) {
        problem = failure.what();
      }
      const bool known = cell[2] == "jpeg" || cell[2] == "png" || cell[2] == "webp";
      // Pillow overlooks the wrong checksum this file was made for.
      if (cell[0] == "pngsuite/xcsn0g01.png") cell[10] = "error";
      if (!known || cell[10] == "error") {
        CHECK_MESSAGE(!problem.empty(), "decoded, the reference did not");
      } else if (cell[10] == "ok") {
        CHECK_MESSAGE(problem.empty(), problem);
      }
      if (!problem.empty()) continue;
      CHECK(std::to_string(image.width()) == cell[3]);
      CHECK(std::to_string(image.height()) == cell[4]);
      ++decoded;
      // djpeg has ideas of its own about four inks.
      const auto components =
          1 + std::count(cell[7].begin(), cell[7].end(), ',');
      if (cell[10] != "ok" || cell[11].size() != 64 || components == 4)
        continue;
      CHECK(pnm_hash(image, components == 1) == cell[11]);
      ++hashed;
    }
    CHECK(files == 273);
    CHECK(hashed > 100);
    MESSAGE(decoded << " of " << files << " decode, " << hashed
                    << " to pixels that the reference states");
  }
}
