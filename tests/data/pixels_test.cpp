// Pixel functions against Pillow and torchvision: no byte may differ.

#include <doctest/doctest.h>

#include <array>
#include <cstring>

#include "data/augment.h"
#include "data/colour.h"
#include "tests/data/image_goldens.h"

TEST_SUITE("pixels") {
  using namespace music::data;

  void apply(const std::string& op, double factor, std::uint8_t* rgb,
             std::size_t n) {
    if (op == "brightness") return adjust_brightness(rgb, n, factor);
    if (op == "contrast") return adjust_contrast(rgb, n, factor);
    if (op == "saturation") return adjust_saturation(rgb, n, factor);
    if (op == "hue") return adjust_hue(rgb, n, factor);
    if (op == "grayscale") return to_grayscale(rgb, n);
    if (op == "solarize") return solarize(rgb, n);
    FAIL("no such operation: " << op);
  }

  std::uint32_t crc32(std::span<const std::uint8_t> bytes) {
    static const auto table = [] {
      std::array<std::uint32_t, 256> t{};
      for (std::uint32_t i = 0; i < 256; ++i) {
        t[i] = i;
        for (int k = 0; k < 8; ++k)
          t[i] = t[i] & 1 ? 0xEDB88320u ^ (t[i] >> 1) : t[i] >> 1;
      }
      return t;
    }();
    std::uint32_t crc = ~0u;
    for (std::uint8_t b : bytes) crc = table[(crc ^ b) & 255] ^ (crc >> 8);
    return ~crc;
  }

  TEST_CASE("resize is Pillow's, both filters, up and down") {
    const ImageGoldens goldens;
    Resizer resizer;
    for (const GoldenCase& c : goldens.of("resize")) {
      CAPTURE(c.line);
      const Box box{c.integer(1), c.integer(2), c.integer(3), c.integer(4)};
      const int w = c.integer(5), h = c.integer(6);
      std::vector<std::uint8_t> out(c.bytes.size());
      resizer.run(goldens.image(c.parameters[0]), box, w, h, {0, 0, w, h},
                  false, interpolation(c.parameters[7]), out.data());
      CHECK(differing(out, c.bytes) == 0);
    }
  }

  TEST_CASE("a window, a flip: parts and mirror of the whole") {
    const ImageGoldens goldens;
    Resizer resizer;
    for (const GoldenCase& c : goldens.of("resize")) {
      CAPTURE(c.line);
      const Box box{c.integer(1), c.integer(2), c.integer(3), c.integer(4)};
      const int w = c.integer(5), h = c.integer(6);
      const Box window{w / 3, h / 4, w - w / 3, h - h / 4};
      std::vector<std::uint8_t> out(3u * window.width * window.height);
      resizer.run(goldens.image(c.parameters[0]), box, w, h, window, true,
                  interpolation(c.parameters[7]), out.data());
      std::size_t wrong = 0;
      for (int y = 0; y < window.height; ++y)
        for (int x = 0; x < window.width; ++x)
          wrong += std::memcmp(
                       &out[3u * (y * window.width + window.width - 1 - x)],
                       &c.bytes[3u * ((window.y + y) * w + window.x + x)],
                       3) != 0;
      CHECK(wrong == 0);
    }
  }

  TEST_CASE("colour operations are Pillow's") {
    const ImageGoldens goldens;
    for (const GoldenCase& c : goldens.of("colour")) {
      CAPTURE(c.line);
      const Image& image = goldens.image(c.parameters[0]);
      std::vector<std::uint8_t> out(image.data(), image.data() + image.bytes());
      apply(c.parameters[1], c.real(2), out.data(), out.size() / 3);
      CHECK(differing(out, c.bytes) == 0);
    }
  }

  TEST_CASE("colour operations are Pillow's on every colour there is") {
    std::vector<std::uint8_t> every(3u << 24), out;
    for (std::size_t i = 0; i < (1u << 24); ++i)
      for (std::size_t c = 0; c < 3; ++c)
        every[3 * i + c] = static_cast<std::uint8_t>(i >> (8 * c));
    const ImageGoldens goldens;
    const auto cases = goldens.of("all");
    CHECK(cases.size() == 6);
    for (const GoldenCase& c : cases) {
      CAPTURE(c.line);
      out = every;
      apply(c.parameters[0], c.real(1), out.data(), out.size() / 3);
      CHECK(crc32(out) == std::stoul(c.parameters[2]));
    }
  }

  TEST_CASE("blur is Pillow's, also where the box exceeds the image") {
    const ImageGoldens goldens;
    BlurScratch scratch;
    for (const GoldenCase& c : goldens.of("blur")) {
      CAPTURE(c.line);
      const Image& image = goldens.image(c.parameters[0]);
      std::vector<std::uint8_t> out(image.data(), image.data() + image.bytes());
      gaussian_blur(out.data(), image.width(), image.height(), c.real(1),
                    scratch);
      CHECK(differing(out, c.bytes) == 0);
    }
  }

  TEST_CASE("a whole view is torchvision's for its parameters") {
    const ImageGoldens goldens;
    AugmentScratch scratch;
    for (const GoldenCase& c : goldens.of("view")) {
      CAPTURE(c.line);
      AugmentSpec spec;
      spec.mode = AugmentMode::kExact;
      spec.size = 32;
      spec.interpolation = interpolation(c.parameters[1]);
      ViewParameters p;
      p.crop = {c.integer(2), c.integer(3), c.integer(4), c.integer(5)};
      p.flip = c.integer(6) != 0;
      p.jitter = true;
      for (std::size_t k = 0; k < 4; ++k)
        p.order[k] = static_cast<ViewParameters::ColourOp>(c.integer(7 + k));
      p.brightness = c.real(11);
      p.contrast = c.real(12);
      p.saturation = c.real(13);
      p.hue = c.real(14);
      p.grayscale = c.integer(15) != 0;
      p.blur_sigma = c.real(16);
      p.solarize = c.integer(17) != 0;
      std::vector<std::uint8_t> out(c.bytes.size());
      apply_view(goldens.image(c.parameters[0]), p, spec, out.data(), scratch);
      CHECK(differing(out, c.bytes) == 0);
    }
  }

  TEST_CASE("evaluation is torchvision's Resize and CenterCrop") {
    const ImageGoldens goldens;
    AugmentScratch scratch;
    for (const GoldenCase& c : goldens.of("eval")) {
      CAPTURE(c.line);
      std::vector<std::uint8_t> out(c.bytes.size());
      eval_view(goldens.image(c.parameters[0]), c.integer(1), c.integer(2),
                interpolation(c.parameters[3]), out.data(), scratch);
      CHECK(differing(out, c.bytes) == 0);
    }
  }
}
