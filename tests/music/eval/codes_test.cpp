#include "music/eval/codes.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "engine/core/rng.h"

namespace {

using namespace music;

TEST_SUITE("codes") {
  TEST_CASE("the largest unit of each segment, the first of equals") {
    const std::vector<float> z{-3, -1, -2, 5, 5, 0, 0};
    const Segments segments = Segments::uneven({3, 2, 2});
    std::uint16_t codes[3];
    segment_codes(z.data(), segments, codes);
    CHECK(std::vector<int>(codes, codes + 3) == std::vector<int>{1, 0, 0});
    std::vector<float> bad = z;
    bad[3] = std::nanf("");
    CHECK_THROWS_WITH(segment_codes(bad.data(), segments, codes),
                      "[codes] unit 3 of an embedding is NaN, expected a number");
  }

  TEST_CASE("whole numbers: one byte up to 256 units") {
    CHECK(code_width(Segments::uneven({256, 2})) == CodeWidth::kU8);
    CHECK(code_width(Segments::uneven({2, 257})) == CodeWidth::kU16);
    CHECK_THROWS_WITH(code_width(Segments::uneven({65537})),
                      "[codes] a segment of 65537 units, expected 65536 at most");
  }

  TEST_CASE("packed by hand: numpy.packbits' order") {
    // 3 units take 2 bits, 2 take 1, 80 take 7: 10 bits in 2 bytes.
    const CodePacking packing(Segments::uneven({3, 2, 80}));
    CHECK(packing.bits() == 10);
    REQUIRE(packing.bytes() == 2);
    const std::vector<std::uint16_t> codes{2, 1, 0b1001101};
    std::uint8_t bytes[2] = {0xff, 0xff};
    packing.pack(codes, bytes);
    CHECK(bytes[0] == 0b10110011);
    CHECK(bytes[1] == 0b01000000);
    CHECK(packing.unpack(bytes) == codes);
    // The paper's code: 102 segments of 80 units in 90 bytes.
    CHECK(CodePacking(Segments::equal(8160, 80)).bytes() == 90);
  }

  TEST_CASE("what was packed comes back") {
    Rng rng(3, RngPurpose::kTest);
    for (int trial = 0; trial < 200; ++trial) {
      std::vector<std::int64_t> sizes;
      std::vector<std::uint16_t> codes;
      for (std::uint32_t s = 0; s < 1 + rng.below(20); ++s) {
        sizes.push_back(2 + rng.below(trial % 2 ? 30 : 65535));
        codes.push_back(static_cast<std::uint16_t>(
            rng.below(static_cast<std::uint32_t>(sizes.back()))));
      }
      const CodePacking packing(Segments::uneven(sizes));
      std::vector<std::uint8_t> bytes(static_cast<std::size_t>(packing.bytes()));
      packing.pack(codes, bytes.data());
      CHECK(packing.unpack(bytes.data()) == codes);
    }
  }
}

}  // namespace
