#include "tools/attributes/factors.h"

#include <numeric>
#include <utility>

namespace music {
namespace {

// Third coordinate of the generator: which stream of an image.
constexpr std::uint32_t kContinuous = 0, kNuisance = 1, kBalanced = 16;

std::uint32_t stream(std::uint32_t which, data::Split split) {
  return which * 2 + static_cast<std::uint32_t>(split);
}

// Images are dealt in blocks of `count`; in a block every value comes once, in
// an order drawn for that block and factor.
int balanced_value(std::uint64_t seed, data::Split split, std::uint32_t image,
                   std::uint32_t factor, std::uint32_t count) {
  Rng rng(seed, RngPurpose::kData, image / count,
          stream(kBalanced + factor, split));
  std::vector<int> order(count);
  std::iota(order.begin(), order.end(), 0);
  for (std::uint32_t i = count; i > 1; --i)
    std::swap(order[i - 1], order[rng.below(i)]);
  return order[image % count];
}

// Uniform in the index-th of `parts` equal parts of [low, high).
double in_part(Rng& rng, int index, int parts, double low, double high) {
  return low + (high - low) * (index + rng.uniform_double()) / parts;
}

constexpr std::array<double, 8> kHues{0, 28, 52, 115, 172, 218, 270, 322};
constexpr double kHueSpread = 8;  // degrees, both ways

}  // namespace

const std::array<FactorInfo, kFactors>& factor_table() {
  static const std::array<FactorInfo, kFactors> table{{
      {"shape",
       {"disc", "ring", "crescent", "heart", "triangle", "square", "star",
        "cross", "arrow", "leaf"},
       "outline of the object and its companions"},
      {"texture",
       {"solid", "stripes", "checker", "dots", "gradient", "marble", "rings",
        "grid"},
       "pattern on the object and its companions"},
      {"colour",
       {"red", "orange", "yellow", "green", "teal", "blue", "purple", "pink"},
       "of the object, not its companions; continuous value: hue, degrees"},
      {"background",
       {"plain", "clouds", "planks", "tiles", "pebbles", "grass"},
       "what lies behind the object"},
      {"background_colour",
       {"white", "grey", "charcoal", "tan", "sage", "sky", "rose", "lilac"},
       "colour of the background"},
      {"size",
       {"small", "medium", "large"},
       "continuous value: scale, diameter of the object over image side"},
      {"column",
       {"left", "centre", "right"},
       "continuous value: x of the centre, 0 left, 1 right"},
      {"row",
       {"top", "middle", "bottom"},
       "continuous value: y of the centre, 0 top, 1 bottom"},
      {"tilt",
       {"clockwise", "upright", "counterclockwise"},
       "continuous value: rotation, degrees counter-clockwise"},
      {"light",
       {"left", "right", "above", "below"},
       "side the light comes from: bevel, shadow and fall-off"},
      {"brightness",
       {"dim", "normal", "bright"},
       "continuous value: gain, exposure, 1 is neutral"},
  }};
  return table;
}

ImageFactors sample_factors(std::uint64_t seed, data::Split split,
                            std::uint32_t image) {
  ImageFactors result;
  const auto& table = factor_table();
  for (std::uint32_t f = 0; f < kFactors; ++f)
    result.index[f] =
        balanced_value(seed, split, image, f,
                       static_cast<std::uint32_t>(table[f].values.size()));
  Rng rng(seed, RngPurpose::kData, image, stream(kContinuous, split));
  result.scale = in_part(rng, result.of(Factor::kSize), 3, 0.5, 0.7);
  result.x = in_part(rng, result.of(Factor::kColumn), 3, 0.32, 0.68);
  result.y = in_part(rng, result.of(Factor::kRow), 3, 0.32, 0.68);
  result.rotation = in_part(rng, result.of(Factor::kTilt), 3, -30, 30);
  result.gain = in_part(rng, result.of(Factor::kBrightness), 3, 0.8, 1.2);
  const double hue =
      kHues[static_cast<std::size_t>(result.of(Factor::kColour))] +
      kHueSpread * (2 * rng.uniform_double() - 1);
  result.hue = hue < 0 ? hue + 360 : hue;
  result.noise = 0.01 + 0.02 * rng.uniform_double();
    return result;
}

Rng nuisance_rng(std::uint64_t seed, data::Split split, std::uint32_t image) {
  return Rng(seed, RngPurpose::kData, image, stream(kNuisance, split));
}

}  // namespace music
