#pragma once
// Codes and attributes made by known rules.

#include <cstdint>
#include <string>
#include <vector>

#include "engine/core/rng.h"
#include "music/codes/attribute_analysis.h"

namespace music::test {

inline std::uint32_t draw(std::uint32_t seed, std::size_t i, std::uint32_t column,
                          std::uint32_t below) {
  return Rng(seed, RngPurpose::kTest, static_cast<std::uint32_t>(i), column)
      .below(below);
}

inline std::vector<std::string> numbered(const std::string& stem, int count) {
  std::vector<std::string> names;
  for (int v = 0; v < count; ++v) names.push_back(stem + std::to_string(v));
  return names;
}

// An attribute of `values` values, balanced in expectation and independent.
inline Attribute random_attribute(const std::string& name, std::size_t n, int values,
                                  std::uint32_t seed) {
  Attribute a{.name = name, .values = numbered(name, values), .rows = {}, .bins = {}};
  for (std::size_t i = 0; i < n; ++i)
    a.rows.push_back(static_cast<std::int32_t>(
        draw(seed, i, 100, static_cast<std::uint32_t>(values))));
  return a;
}

// codes [n, units.size()] of segments that know nothing.
inline std::vector<std::uint16_t> random_codes(
    std::size_t n, const std::vector<std::int64_t>& units, std::uint32_t seed) {
  std::vector<std::uint16_t> codes;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t s = 0; s < units.size(); ++s)
      codes.push_back(static_cast<std::uint16_t>(
          draw(seed, i, static_cast<std::uint32_t>(s),
               static_cast<std::uint32_t>(units[s]))));
  return codes;
}

// Segment s then says the attribute in a share of the images: unit value * 2 or the
// next one.
inline void tell(std::vector<std::uint16_t>& codes, std::size_t segments,
                 std::size_t s, const Attribute& attribute, double share,
                 std::uint32_t seed) {
  for (std::size_t i = 0; i < attribute.rows.size(); ++i) {
    Rng rng(seed, RngPurpose::kTest, static_cast<std::uint32_t>(i), 200);
    if (attribute.rows[i] >= 0 && rng.bernoulli(share))
      codes[i * segments + s] =
          static_cast<std::uint16_t>(2 * attribute.rows[i] + rng.bernoulli(0.5));
  }
}

}  // namespace music::test
