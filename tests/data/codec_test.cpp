// Decoders against Pillow's pixels, and against damaged and hostile files.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "data/decode.h"
#include "data/jpeg.h"
#include "data/png.h"
#include "engine/core/error.h"
#include "tests/data/image_goldens.h"
#include "tests/data/png_checksums.h"
#include "tests/support/margin.h"

TEST_SUITE("codec") {
  using namespace music::data;
  using music::test::within;

  std::span<const std::uint8_t> pixels(const Image& image) {
    return {image.data(), image.bytes()};
  }

  // The error's text; empty when the bytes decode.
  std::string refusal(std::span<const std::uint8_t> bytes) {
    Image image;
    try {
      decode_image(bytes, image);
      return "";
    } catch (const music::Error& failure) {
      CHECK(failure.code() == music::ExitCode::kData);
      return failure.what();
    }
  }

  TEST_CASE("JPEG and PNG give Pillow's pixels") {
    const ImageGoldens goldens;
    const auto files = goldens.of("file"), decoded = goldens.of("decoded");
    REQUIRE(files.size() == decoded.size());
    Image image;
    for (std::size_t i = 0; i < files.size(); ++i) {
      CAPTURE(files[i].line);
      decode_image(files[i].bytes, image);
      CHECK(image.width() == decoded[i].integer(1));
      CHECK(image.height() == decoded[i].integer(2));
      CHECK(differing(pixels(image), decoded[i].bytes) == 0);
    }
  }

  TEST_CASE("a truncated or garbled file is an error, at any length") {
    const ImageGoldens goldens;
    for (const GoldenCase& c : goldens.of("file")) {
      CAPTURE(c.line);
      std::size_t accepted = 0;
      for (std::size_t n = 0; n + 16 < c.bytes.size(); n += 7)
        accepted += refusal(c.bytes.first(n)).empty();
      CHECK(accepted == 0);
      std::vector<std::uint8_t> garbled(c.bytes.begin(), c.bytes.end());
      for (std::size_t n = 8; n < garbled.size(); n += 3) {
        const auto flip = static_cast<std::uint8_t>(n * 37 | 1);
        garbled[n] ^= flip;
        const bool refused = !refusal(garbled).empty();
        // A JPEG may survive it, but not crash; a PNG has checksums.
        if (garbled[1] == 'P') {
          CHECK(refused);
          garbled[n] ^= flip;
        }
      }
    }
  }

  TEST_CASE("errors say what was found") {
    const auto bytes = [](std::string_view text) {
      return std::vector<std::uint8_t>(text.begin(), text.end());
    };
    CHECK(refusal({}) == "[decode] the file is empty");
    CHECK(refusal(bytes("GIF89a")) ==
          "[decode] a GIF, expected JPEG, PNG or WebP: `convert 'FILE[0]' OUT.png` "
          "converts its first frame");
    CHECK(refusal(bytes("xyz")) ==
          "[decode] no known picture, expected JPEG, PNG or WebP: begins with 78 79 7a");
    CHECK(refusal(std::vector<std::uint8_t>(DecodeLimits::kFileBytes + 1)) ==
          "[decode] 67108865 bytes, limit 67108864");
  }

  TEST_CASE("a header that claims too many pixels is refused unread") {
    const ImageGoldens goldens;
    const auto file = goldens.of("file").front().bytes;
    std::vector<std::uint8_t> jpeg(file.begin(), file.end());
    for (std::size_t i = 0; i + 9 < jpeg.size(); ++i) {
      if (jpeg[i] != 0xFF || jpeg[i + 1] != 0xC0) continue;
      jpeg[i + 5] = jpeg[i + 7] = 0xFF;  // 65,2xx each way
      break;
    }
    CHECK(refusal(jpeg).find("limit 178956970") != std::string::npos);
  }

  TEST_CASE("a small file is refused the memory of a large image") {
    const ImageGoldens goldens;
    const auto file = goldens.of("file").front().bytes;
    std::vector<std::uint8_t> jpeg(file.begin(), file.end());
    for (std::size_t i = 0; i + 9 < jpeg.size(); ++i) {
      if (jpeg[i] != 0xFF || jpeg[i + 1] != 0xC0) continue;
      jpeg[i + 5] = jpeg[i + 7] = 0x2F;  // 12,0xx each way
      break;
    }
    CHECK(refusal(jpeg).find("pixels cannot be in ") != std::string::npos);

    // A PNG of 1 x 1 pixels whose data inflate to 48 MiB.
    Image big;
    std::fill_n(big.reset(4096, 4096), std::size_t{3} * 4096 * 4096, 0);
    std::vector<std::uint8_t> bomb = encode_png(big);
    CHECK(bomb.size() < 1'000'000);
    CHECK(refusal(bomb).empty());
    bomb[18] = bomb[22] = 0;  // 4096 is 0x1000: width and height
    bomb[19] = bomb[23] = 1;
    fix_checksums(bomb);
    CHECK(refusal(bomb) == "[png] outofmem");
  }

  TEST_CASE("a progressive JPEG of more coefficients than the limit") {
    const ImageGoldens goldens;
    for (const GoldenCase& c : goldens.of("file")) {
      if (c.parameters[0] != "422_progressive") continue;
      std::vector<std::uint8_t> jpeg(c.bytes.begin(), c.bytes.end());
      for (std::size_t i = 0; i + 9 < jpeg.size(); ++i) {
        if (jpeg[i] != 0xFF || jpeg[i + 1] != 0xC2) continue;
        jpeg[i + 5] = jpeg[i + 7] = 0x33;  // 13,1xx each way: 690 MB at 4:2:2
        break;
      }
      // So large that its pixels might be in it.
      jpeg.resize(500'000);
      CHECK(refusal(jpeg) == "[jpeg] Backing store not supported");
    }
  }

  TEST_CASE("a JPEG of very many scans is refused") {
    // A progressive file whose last scan is repeated.
    const ImageGoldens goldens;
    for (const GoldenCase& c : goldens.of("file")) {
      if (c.parameters[0] != "422_progressive") continue;
      std::vector<std::uint8_t> jpeg(c.bytes.begin(), c.bytes.end() - 2);
      std::size_t scan = 0;
      for (std::size_t i = 0; i + 1 < jpeg.size(); ++i)
        if (jpeg[i] == 0xFF && jpeg[i + 1] == 0xDA) scan = i;
      const std::vector<std::uint8_t> last(
          jpeg.begin() + static_cast<std::ptrdiff_t>(scan), jpeg.end());
      for (int k = 0; k < 200; ++k)
        jpeg.insert(jpeg.end(), last.begin(), last.end());
      jpeg.insert(jpeg.end(), {0xFF, 0xD9});
      CHECK(refusal(jpeg) == "[jpeg] more than 100 scans");
    }
  }

  TEST_CASE("encode and decode") {
    const ImageGoldens goldens;
    const Image& photo = goldens.image("photo");
    Image back;
    decode_jpeg(encode_jpeg(photo, 95), back);
    REQUIRE(back.width() == photo.width());
    REQUIRE(back.height() == photo.height());
    double error = 0;
    for (std::size_t i = 0; i < photo.bytes(); ++i)
      error += std::abs(back.data()[i] - photo.data()[i]);
    // 4:2:0 of noise.
    CHECK(within(error / static_cast<double>(photo.bytes()), 12));
    CHECK(encode_jpeg(photo, 30).size() < encode_jpeg(photo, 90).size());
  }
}
