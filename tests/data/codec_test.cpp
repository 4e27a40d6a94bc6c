// Decoders against Pillow's pixels, and against damaged and hostile files.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/decode.h"
#include "data/jpeg.h"
#include "data/picture_format.h"
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

  bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != text.npos;
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

  TEST_CASE("JPEG, PNG and WebP give Pillow's pixels") {
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
          "[decode] no known picture, expected JPEG, PNG or WebP: begins with 'xyz'");
    CHECK(contains(refusal(std::vector<std::uint8_t>{1, 'x'}), "begins with 01 78"));
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

  // Of the golden file of that name.
  std::vector<std::uint8_t> file_of(const ImageGoldens& goldens, std::string_view name) {
    for (const GoldenCase& c : goldens.of("file"))
      if (c.parameters[0] == name) return {c.bytes.begin(), c.bytes.end()};
    FAIL("no golden file " << name);
    return {};
  }
  // Where a marker of a JPEG is, the nth from 0.
  std::size_t marker(const std::vector<std::uint8_t>& jpeg, int code, int nth = 0) {
    for (std::size_t i = 0; i + 1 < jpeg.size(); ++i)
      if (jpeg[i] == 0xFF && jpeg[i + 1] == code && nth-- == 0) return i;
    FAIL("no such marker");
    return 0;
  }

  TEST_CASE("a small WebP is refused the memory of a large image") {
    const ImageGoldens goldens;
    auto lossy = file_of(goldens, "webp_lossy");
    lossy[27] = lossy[29] = 0x2F;  // 12,0xx each way
    CHECK(contains(refusal(lossy), "pixels cannot be in "));
    lossy[27] = lossy[29] = 0x3F;  // 16,1xx
    CHECK(contains(refusal(lossy), "limit 178956970 in all"));
    auto lossless = file_of(goldens, "webp_lossless");
    lossless[22] |= 0x3F;  // width 16,1xx
    lossless[23] |= 0xFF;
    lossless[24] |= 0x03;  // height over 4000
    CHECK(contains(refusal(lossless), "pixels cannot be in "));
    auto animated = file_of(goldens, "webp_animated");
    animated[25] = animated[28] = 0x2F;  // of the canvas
    CHECK(contains(refusal(animated), "pixels cannot be in "));
    // One colour without loss takes no bits: up to 2^24 pixels are read.
    const auto blank = [](int width, int height) {  // a group of codes of one symbol
      const std::uint32_t size = static_cast<std::uint32_t>(width - 1) |
                                 static_cast<std::uint32_t>(height - 1) << 14;
      std::vector<std::uint8_t> bytes{'R', 'I', 'F', 'F', 26, 0, 0, 0, 'W', 'E',
                                      'B', 'P', 'V', 'P', '8', 'L', 14, 0, 0, 0,
                                      0x2F};
      for (int i = 0; i < 4; ++i)
        bytes.push_back(static_cast<std::uint8_t>(size >> (8 * i)));
      // No transform, no cache, one code group; five simple codes of symbol 0.
      bytes.insert(bytes.end(), {0x88, 0x88, 0x08, 0, 0, 0, 0, 0, 0});
      return bytes;
    };
    CHECK(refusal(blank(4096, 4096)).empty());
    CHECK(contains(refusal(blank(4097, 4096)), "pixels cannot be in 34 bytes"));
    CHECK(contains(refusal(blank(16383, 10922)), "pixels cannot be in 34 bytes"));
    auto large = blank(16383, 10000);
    large.resize(200'000);
    CHECK(contains(refusal(large), "lossless pixels, limit 134217728 in all"));
  }

  TEST_CASE("what other formats are is said, with a way to convert them") {
    using F = PictureFormat;
    const auto bytes = [](std::string_view text) {
      std::vector<std::uint8_t> all(text.begin(), text.end());
      all.resize(600, 1);
      return all;
    };
    using namespace std::string_view_literals;
    for (const auto& [text, format] : {
             std::pair{"BM\x36\x10"sv, F::kBmp}, {"GIF87a"sv, F::kGif},
             {"II*\0\x08\0\0\0"sv, F::kTiff}, {"MM\0*"sv, F::kTiff},
             {"MM\0+"sv, F::kTiff}, {"II*\0\x10\0\0\0CR"sv, F::kRaw},
             {"\0\0\0\x0CjP  \r\n\x87\n"sv, F::kJpeg2000},
             {"\xFF\x4F\xFF\x51"sv, F::kJpeg2000}, {"\xFF\x0A"sv, F::kJpegXl},
             {"\0\0\0\x0CJXL \r\n\x87\n"sv, F::kJpegXl},
             {"\xFF\xD8\xFF\xF7"sv, F::kJpegLs}, {"II\xBC\x01"sv, F::kJpegXr},
             {"\0\0\0\x1C" "ftypavif\0\0\0\0avifmif1miaf"sv, F::kAvif},
             {"\0\0\0\x1C" "ftypmif1\0\0\0\0mif1avifmiaf"sv, F::kAvif},
             {"\0\0\0\x18" "ftypheic\0\0\0\0mif1heic"sv, F::kHeic},
             {"\0\0\0\x18" "ftypisom\0\0\2\0isomavc1"sv, F::kVideo},
             {"\0\0\0\x18" "ftypcrx \0\0\0\1crx isom"sv, F::kRaw},
             {"RIFF\0\0\0\0AVI "sv, F::kVideo}, {"RIFF\0\0\0\0WAVE"sv, F::kUnknown},
             {"P6\n4 4\n255\n"sv, F::kPnm}, {"P7\nWIDTH 4"sv, F::kPnm},
             {"8BPS\0\1"sv, F::kPsd}, {"\0\0\1\0\1\0"sv, F::kIco},
             {"qoif"sv, F::kQoi}, {"v/1\1"sv, F::kExr}, {"#?RADIANCE\n"sv, F::kHdr},
             {"SIMPLE  =  T"sv, F::kFits},
             {"<?xml version='1.0'?><svg xmlns"sv, F::kSvg},
             {"\xEF\xBB\xBF\n<!DOCTYPE HTML>"sv, F::kHtml},
             {"{\"error\": 404}"sv, F::kJson},
             {"version https://git-lfs.github.com/spec/v1\n"sv, F::kLfsPointer},
             {"/9j/4AAQSkZJRg"sv, F::kBase64}, {"iVBORw0KGgoAAAAN"sv, F::kBase64},
             {"\x1F\x8B\x08"sv, F::kGzip}, {"BZh9"sv, F::kBzip2},
             {"\x28\xB5\x2F\xFD"sv, F::kZstd}, {"PK\3\4"sv, F::kZip},
             {"%PDF-1.7"sv, F::kPdf}, {"\x93NUMPY\1"sv, F::kNpy},
             {"\x80\x04\x95"sv, F::kPickle}, {"\0\5\x16\7\0\2"sv, F::kAppleDouble},
             {"\0\0\2\0\0\0\0\0"sv, F::kTga}, {"%!PS-Adobe-3.0"sv, F::kPdf},
             {"\x89PNG\n\x1A\n"sv, F::kAsText}, {"\xEF\xBF\xBD\xEF\xBF\xBD"sv, F::kAsText},
         }) {
      CAPTURE(format_name(format));
      CHECK(picture_format(bytes(text)) == format);
      if (format == F::kUnknown) continue;
      const std::string said = refusal(bytes(text));
      CHECK(contains(said, "[decode] " + std::string(format_name(format)) +
                               ", expected JPEG, PNG or WebP: "));
      CHECK(contains(said, format_remedy(format)));
      CHECK(said.find('\n') == said.npos);
    }
    CHECK(picture_format(std::vector<std::uint8_t>(100)) == F::kZeros);
    auto tar = bytes("a.jpg");
    std::copy_n("ustar", 5, tar.begin() + 257);
    CHECK(picture_format(tar) == F::kTar);
    // At every length, of every format: no byte beyond the end is looked at.
    for (const std::string_view text : {"\0\0\0\xFF" "ftypavif"sv, "RIFF1234WEBP"sv,
                                        "\xFF\xD8\xFF\xE0"sv, "P6\n"sv, "<svg"sv})
      for (std::size_t n = 0; n <= text.size(); ++n) {
        const std::vector<std::uint8_t> some(text.begin(), text.begin() + n);
        picture_format(some);
      }
  }

  TEST_CASE("extensions stand for formats, in any case") {
    for (const char* name : {"jpg", ".JPG", "jpeg", "Jpe", ".jfif"})
      CHECK(format_of_extension(name) == PictureFormat::kJpeg);
    CHECK(format_of_extension(".PNG") == PictureFormat::kPng);
    CHECK(format_of_extension("webp") == PictureFormat::kWebp);
    CHECK(format_of_extension(".tiff") == PictureFormat::kTiff);
    for (const char* name : {"", ".", "txt", "jpgx", "jp", "cls", "json"})
      CHECK(format_of_extension(name) == PictureFormat::kUnknown);
    CHECK(is_read(PictureFormat::kWebp));
    CHECK_FALSE(is_read(PictureFormat::kUnknown));
    CHECK_FALSE(is_read(PictureFormat::kBmp));
  }

  TEST_CASE("processes of JPEG that libjpeg lacks are named") {
    const ImageGoldens goldens;
    const auto said = [&](int frame, int bits) {
      auto jpeg = file_of(goldens, "420");
      const std::size_t at = marker(jpeg, 0xC0);
      jpeg[at + 1] = static_cast<std::uint8_t>(frame);
      jpeg[at + 4] = static_cast<std::uint8_t>(bits);
      return refusal(jpeg);
    };
    CHECK(contains(said(0xC0, 12), "[jpeg] a 12-bit JPEG, expected 8 bits, baseline"));
    CHECK(contains(said(0xC1, 12), "a 12-bit JPEG"));
    CHECK(contains(said(0xC2, 12), "a 12-bit JPEG"));
    CHECK(contains(said(0xC3, 8), "a lossless JPEG"));
    CHECK(contains(said(0xC3, 16), "a lossless JPEG"));
    CHECK(contains(said(0xCB, 8), "a lossless JPEG"));
    CHECK(contains(said(0xC5, 8), "a hierarchical JPEG"));
    CHECK(contains(said(0xCE, 8), "a hierarchical JPEG"));
    CHECK(contains(said(0xC0, 7), "a JPEG of 7 bits"));
    CHECK(contains(said(0xF7, 8), "[jpeg] a JPEG-LS, expected JPEG, PNG or WebP: "));
    CHECK(said(0xC0, 8).empty());
  }

  TEST_CASE("a PNG packed for iOS is not read with red for blue") {
    const ImageGoldens goldens;
    auto png = file_of(goldens, "rgb");
    const std::uint8_t chunk[] = {0, 0, 0, 4, 'C', 'g', 'B', 'I', 0x50, 0, 0x20, 2,
                                  0, 0, 0, 0};
    png.insert(png.begin() + 8, std::begin(chunk), std::end(chunk));
    fix_checksums(png);
    CHECK(contains(refusal(png), "(CgBI), expected a plain one"));
  }

  TEST_CASE("a PNG with too long a side is refused by its size") {
    const ImageGoldens goldens;
    auto png = file_of(goldens, "rgb");
    png[16] = png[17] = 0;
    png[18] = 0x40, png[19] = 0x01;
    fix_checksums(png);
    CHECK(contains(refusal(png), "16385 x "));
    CHECK(contains(refusal(png), "limit 16384 a side"));
  }

  TEST_CASE("a progressive JPEG of some of its scans") {
    const ImageGoldens goldens;
    const auto whole = file_of(goldens, "422_progressive");
    Image image, full;
    decode_jpeg(whole, full);
    int scans = 0;
    for (std::size_t i = 0; i + 1 < whole.size(); ++i)
      scans += whole[i] == 0xFF && whole[i + 1] == 0xDA;
    REQUIRE(scans > 3);
    double before = 1e9;
    for (int n = 1; n < scans; ++n) {
      CAPTURE(n);
      // Up to the tables of the next scan, or to the scan.
      std::size_t end = marker(whole, 0xDA, n);
      for (std::size_t i = marker(whole, 0xDA, n - 1); i < end; ++i)
        if (whole[i] == 0xFF && whole[i + 1] == 0xC4) end = i;
      std::vector<std::uint8_t> part(whole.begin(),
                                     whole.begin() + static_cast<std::ptrdiff_t>(end));
      // Without an end marker it is cut off, with one it is a coarser picture.
      CHECK(contains(refusal(part), "Premature end of JPEG file"));
      part.insert(part.end(), {0xFF, 0xD9});
      decode_jpeg(part, image);
      double apart = 0;
      for (std::size_t i = 0; i < full.bytes(); ++i)
        apart += std::abs(image.data()[i] - full.data()[i]);
      CHECK(apart > 0);
      CHECK(apart < 1.1 * before);
      before = apart;
    }
    // A first scan of one component alone leaves the others without any.
    auto one = file_of(goldens, "444");
    const std::size_t at = marker(one, 0xDA);
    const std::uint8_t only[] = {0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0};
    one.erase(one.begin() + static_cast<std::ptrdiff_t>(at),
              one.begin() + static_cast<std::ptrdiff_t>(at) + 14);
    one.insert(one.begin() + static_cast<std::ptrdiff_t>(at), std::begin(only),
               std::end(only));
    CHECK(contains(refusal(one), "[jpeg] ends before component 2 of 3"));
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
