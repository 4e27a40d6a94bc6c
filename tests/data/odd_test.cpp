// The decoders on shared/data/odd: valid but unusual, damaged and mislabelled
// files, against what libjpeg's djpeg and Pillow made of them.

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "data/decode.h"
#include "engine/core/error.h"
#include "tests/data/photos.h"

TEST_SUITE("odd") {
  using namespace music::data;

  TEST_CASE("odd files: the reference's size, or an error; never a crash") {
    const auto data = shared_data();
    if (!data) {
      MESSAGE("[skipped] no shared data");
      return;
    }
    std::ifstream table(*data / "odd" / "REFERENCE.tsv");
    std::string line;
    std::getline(table, line);  // the heading
    Image image;
    int files = 0, decoded = 0;
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
      const bool known = cell[2] == "jpeg" || cell[2] == "png";
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
    }
    CHECK(files == 273);
    MESSAGE(decoded << " of " << files << " decode");
  }
}
