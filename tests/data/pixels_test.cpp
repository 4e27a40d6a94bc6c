// Pixel functions against Pillow and torchvision: no byte may differ.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "data/augment.h"
#include "data/colour.h"
#include "tests/data/image_goldens.h"
#include "tests/support/margin.h"

TEST_SUITE("pixels") {
  using namespace music::data;
  using music::test::within;

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
    for (const int pillow : {12, 13}) {
      const ImageGoldens goldens(pillow);
      Resizer resizer;
      for (const GoldenCase& c : goldens.of("resize")) {
        CAPTURE(c.line);
        const Box box{c.integer(1), c.integer(2), c.integer(3), c.integer(4)};
        const int w = c.integer(5), h = c.integer(6);
        std::vector<std::uint8_t> out(c.bytes.size());
        resizer.run(goldens.image(c.parameters[0]), box, w, h, {0, 0, w, h},
                    false, {interpolation(c.parameters[7]), pillow}, out.data());
        CHECK(differing(out, c.bytes) == 0);
      }
    }
  }

  TEST_CASE("a window, a flip: parts and mirror of the whole") {
    for (const int pillow : {12, 13}) {
      const ImageGoldens goldens(pillow);
      Resizer resizer;
      for (const GoldenCase& c : goldens.of("resize")) {
        CAPTURE(c.line);
        const Box box{c.integer(1), c.integer(2), c.integer(3), c.integer(4)};
        const int w = c.integer(5), h = c.integer(6);
        const Box window{w / 3, h / 4, w - w / 3, h - h / 4};
        std::vector<std::uint8_t> out(3u * window.width * window.height);
        resizer.run(goldens.image(c.parameters[0]), box, w, h, window, true,
                    {interpolation(c.parameters[7]), pillow}, out.data());
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
  }

  // One axis of a resize from its definition; rounded to 8 bits, as each pass is.
  std::vector<double> naive_pass(const std::vector<double>& in, int lines, int from,
                                 int to, bool down, bool cubic) {
    std::vector<double> out(static_cast<std::size_t>(lines) * to * 3);
    const double scale = static_cast<double>(from) / to, stretch = std::max(scale, 1.0);
    const double reach = (cubic ? 2 : 1) * stretch;
    const auto at = [&](int line, int i, int n, int c) {
      return static_cast<std::size_t>(3 * (down ? i * lines + line : line * n + i) + c);
    };
    for (int i = 0; i < to; ++i) {
      const double centre = (i + 0.5) * scale;
      const int low = std::max(static_cast<int>(centre - reach + 0.5), 0);
      const int high = std::min(static_cast<int>(centre + reach + 0.5), from);
      std::vector<double> weight;
      double total = 0;
      for (int k = low; k < high; ++k) {
        const double x = std::abs((k - centre + 0.5) / stretch);
        weight.push_back(!cubic   ? std::max(1 - x, 0.0)
                         : x < 1 ? (1.5 * x - 2.5) * x * x + 1
                         : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2
                                 : 0);
        total += weight.back();
      }
      for (int line = 0; line < lines; ++line)
        for (int c = 0; c < 3; ++c) {
          double sum = 0;
          for (int k = low; k < high; ++k)
            sum += weight[static_cast<std::size_t>(k - low)] / total * in[at(line, k, from, c)];
          out[at(line, i, to, c)] = std::floor(std::clamp(sum, 0.0, 255.0) + 0.5);
        }
    }
    return out;
  }

  TEST_CASE("both orders of the passes against the definition") {
    const ImageGoldens goldens;
    const Image& image = goldens.image("tall");
    const std::vector<double> pixels(image.data(), image.data() + image.bytes());
    const int w = image.width(), h = image.height();
    Resizer resizer;
    for (const auto& [to_w, to_h] : {std::pair{20, 52}, {60, 90}, {41, 50}, {8, 41},
                                     {8, 40}, {7, 107}, {50, 110}})
      for (const Interpolation filter : {Interpolation::kBilinear, Interpolation::kBicubic})
        for (const int pillow : {12, 13}) {
          CAPTURE(to_w);
          CAPTURE(to_h);
          CAPTURE(pillow);
          const bool cubic = filter == Interpolation::kBicubic;
          const bool down_first = pillow == 13 && h > to_h && h - to_h > 2 * (w - to_w);
          const std::vector<double> expected =
              down_first
                  ? naive_pass(naive_pass(pixels, w, h, to_h, true, cubic), to_h, w, to_w,
                               false, cubic)
                  : naive_pass(naive_pass(pixels, h, w, to_w, false, cubic), to_w, h, to_h,
                               true, cubic);
          std::vector<std::uint8_t> out(expected.size());
          resizer.run(image, {0, 0, w, h}, to_w, to_h, {0, 0, to_w, to_h}, false,
                      {filter, pillow}, out.data());
          // A weight's 22 bits may round a tie the other way.
          std::size_t apart = 0, far = 0;
          for (std::size_t i = 0; i < out.size(); ++i) {
            apart += out[i] != expected[i];
            far += std::abs(out[i] - expected[i]) > 1;
          }
          CHECK(far == 0);
          CHECK(within(static_cast<double>(apart) / static_cast<double>(out.size()), 0.02));
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
    for (const int pillow : {12, 13}) {
      const ImageGoldens goldens(pillow);
      AugmentScratch scratch;
      for (const GoldenCase& c : goldens.of("view")) {
        CAPTURE(c.line);
        AugmentSpec spec;
        spec.mode = AugmentMode::kExact;
        spec.size = 32;
        spec.pillow = pillow;
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
  }

  TEST_CASE("evaluation is torchvision's Resize and CenterCrop") {
    for (const int pillow : {12, 13}) {
      const ImageGoldens goldens(pillow);
      AugmentScratch scratch;
      for (const GoldenCase& c : goldens.of("eval")) {
        CAPTURE(c.line);
        std::vector<std::uint8_t> out(c.bytes.size());
        eval_view(goldens.image(c.parameters[0]), c.integer(1), c.integer(2),
                  {interpolation(c.parameters[3]), pillow}, out.data(), scratch);
        CHECK(differing(out, c.bytes) == 0);
      }
    }
  }
}
