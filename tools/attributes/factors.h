#pragma once
// The factors of an attribute image: one large object, with companions of its
// shape and texture in any colour, before a background. Every named factor is
// balanced (counts differ by at most one in a split) and independent of the
// others.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "data/dataset.h"
#include "engine/core/rng.h"

namespace music {

enum class Factor : std::uint8_t {
  kShape, kTexture, kColour, kBackground, kBackgroundColour, kSize, kColumn,
  kRow, kTilt, kLight, kBrightness
};
inline constexpr std::size_t kFactors = 11;

struct FactorInfo {
  std::string_view name;
  std::vector<std::string_view> values;
  std::string_view about;
};

// In the order of Factor.
const std::array<FactorInfo, kFactors>& factor_table();

constexpr std::string_view name_of(data::Split split) {
  return split == data::Split::kTrain ? "train" : "test";
}

// What one image shows. Lengths are shares of the image side.
struct ImageFactors {
  std::array<int, kFactors> index{};  // into factor_table()[f].values
  double scale = 0;                   // diameter of the object
  double x = 0, y = 0;                // its centre, from the top left
  double rotation = 0;                // degrees, counter-clockwise
  double gain = 0;                    // exposure; 1 is neutral
  double hue = 0;                     // of the object, degrees
  double noise = 0;                   // standard deviation, of [0,1] pixels

  int of(Factor f) const { return index[static_cast<std::size_t>(f)]; }
  std::string_view name(Factor f) const {
    return factor_table()[static_cast<std::size_t>(f)]
        .values[static_cast<std::size_t>(of(f))];
  }
};

// A pure function of its arguments: image i of a split is the same whatever
// the sizes of the splits.
ImageFactors sample_factors(std::uint64_t seed, data::Split split,
                            std::uint32_t image);

// The stream of everything in an image that is not a factor: companions,
// phases of patterns, pixel noise.
Rng nuisance_rng(std::uint64_t seed, data::Split split, std::uint32_t image);

}  // namespace music
