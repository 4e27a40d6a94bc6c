// Fast mode against exact mode on photographs (MUSIC_SOAK=1: on 300), and every
// instruction set against every other.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "data/augment.h"
#include "tests/data/photos.h"
#include "tests/support/instruction_sets.h"
#include "tests/support/margin.h"

TEST_SUITE("fast") {
  using namespace music::data;
  using music::test::within;

  using Pixels = std::vector<std::uint8_t>;

  // No operation but the crop, the flip and what change sets.
  AugmentSpec spec_with(const std::function<void(AugmentSpec&)>& change) {
    AugmentSpec spec;
    spec.jitter = spec.grayscale = 0;
    spec.brightness = spec.contrast = spec.saturation = spec.hue = 0;
    spec.blur = spec.solarize = {0, 0};
    change(spec);
    return spec;
  }

  Pixels view_of(const Image& image, AugmentSpec spec, AugmentMode mode,
                 std::uint32_t sample, int view, AugmentScratch& scratch) {
    spec.mode = mode;
    Pixels out(std::size_t{3} * spec.size * spec.size);
    apply_view(image,
               sample_view(spec, 1, 0, sample, view, image.width(),
                           image.height()),
               spec, out.data(), scratch);
    return out;
  }

  struct Difference {
    double absolute = 0, signed_ = 0;  // means
  };

  Difference difference(const std::vector<Image>& images,
                        const AugmentSpec& spec, int view) {
    AugmentScratch scratch;
    double absolute = 0, signed_ = 0, n = 0;
    for (std::size_t i = 0; i < images.size(); ++i) {
      const auto sample = static_cast<std::uint32_t>(i);
      const Pixels exact = view_of(images[i], spec, AugmentMode::kExact,
                                   sample, view, scratch);
      const Pixels fast =
          view_of(images[i], spec, AugmentMode::kFast, sample, view, scratch);
      for (std::size_t k = 0; k < exact.size(); ++k) {
        absolute += std::abs(fast[k] - exact[k]);
        signed_ += fast[k] - exact[k];
      }
      n += static_cast<double>(exact.size());
    }
    return {absolute / n, signed_ / n};
  }

  const std::vector<std::pair<std::string, AugmentSpec>>& cases() {
    static const std::vector<std::pair<std::string, AugmentSpec>> kCases{
        {"bicubic", spec_with([](AugmentSpec&) {})},
        {"bicubic as before Pillow 13",
         spec_with([](AugmentSpec& s) { s.pillow = Resampling::kEarlier; })},
        {"bilinear", spec_with([](AugmentSpec& s) {
           s.interpolation = Interpolation::kBilinear;
         })},
        {"brightness", spec_with([](AugmentSpec& s) {
           s.jitter = 1, s.brightness = 0.4;
         })},
        {"contrast", spec_with([](AugmentSpec& s) {
           s.jitter = 1, s.contrast = 0.4;
         })},
        {"saturation", spec_with([](AugmentSpec& s) {
           s.jitter = 1, s.saturation = 0.4;
         })},
        {"hue", spec_with([](AugmentSpec& s) { s.jitter = 1, s.hue = 0.1; })},
        {"grayscale", spec_with([](AugmentSpec& s) { s.grayscale = 1; })},
        {"blur", spec_with([](AugmentSpec& s) { s.blur = {1, 1}; })},
        {"solarize", spec_with([](AugmentSpec& s) { s.solarize = {1, 1}; })},
        {"everything", AugmentSpec{}},
    };
    return kCases;
  }

  TEST_CASE("fast mode is within 1 of 255 of exact mode, without bias") {
    const std::vector<Image> images =
        photos(std::getenv("MUSIC_SOAK") ? 300 : 40);
    if (images.empty()) {
      MESSAGE("[skipped] no shared data");
      return;
    }
    for (const auto& [name, spec] : cases()) {
      CAPTURE(name);
      for (int view = 0; view < 2; ++view) {
        const Difference d = difference(images, spec, view);
        MESSAGE(name << ", view " << view + 1 << ": mean |difference| "
                     << d.absolute << ", mean " << d.signed_);
        CHECK(within(d.absolute, 0.4, name));
        CHECK(within(std::abs(d.signed_), 0.05, name));
      }
    }
  }

  TEST_CASE("every instruction set gives the same bytes") {
    std::vector<Image> images;
    for (const auto& [width, height] :
         {std::pair{97, 61}, {3, 5}, {1, 1}, {300, 40}, {32, 32}}) {
      std::uint8_t* pixels = images.emplace_back().reset(width, height);
      std::uint32_t state = 1;
      for (std::size_t i = 0; i < images.back().bytes(); ++i)
        pixels[i] =
            static_cast<std::uint8_t>((state = state * 1664525 + 1013904223) >>
                                      24);
    }
    AugmentScratch scratch;
    std::vector<Pixels> reference;
    const int sets = music::test::for_each_instruction_set(
        [&](const std::string& name) {
      CAPTURE(name);
      std::vector<Pixels> made;
      for (int size : {8, 33, 96})
        for (const auto& [operation, spec] : cases())
          for (const Image& image : images) {
            AugmentSpec sized = spec;
            sized.size = size;
            made.push_back(view_of(image, sized, AugmentMode::kFast,
                                   static_cast<std::uint32_t>(made.size()), 0,
                                   scratch));
          }
      if (reference.empty()) reference = made;
      CHECK(made == reference);
    });
    CHECK(sets > 1);
  }
}
