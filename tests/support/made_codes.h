#pragma once
// Embeddings of made-up images for tests of music/codes.

#include <vector>

#include "engine/core/rng.h"
#include "tests/support/reference_codes.h"

namespace music::test {

// n embeddings, as sharp as `spread` is large.
inline std::vector<float> made_embeddings(std::int64_t n, std::int64_t units,
                                          std::uint32_t which, float spread = 3) {
  std::vector<float> z;
  for (std::int64_t i = 0; i < n; ++i) {
    Rng rng(11, RngPurpose::kTest, static_cast<std::uint32_t>(i), which);
    for (std::int64_t d = 0; d < units; ++d)
      z.push_back(spread * static_cast<float>(rng.normal()));
  }
  return z;
}

inline Rows rows_of(const std::vector<float>& z, std::int64_t units) {
  Rows rows;
  for (std::size_t at = 0; at < z.size(); at += static_cast<std::size_t>(units))
    rows.emplace_back(z.begin() + static_cast<std::ptrdiff_t>(at),
                      z.begin() + static_cast<std::ptrdiff_t>(at) + units);
  return rows;
}

}  // namespace music::test
