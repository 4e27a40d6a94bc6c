#pragma once
// Search among codes, one image and one segment at a time.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/core/rng.h"
#include "music/codes/code_index.h"
#include "music/codes/soft_index.h"

namespace music::test {

using Codes = std::vector<std::vector<std::uint16_t>>;

// few: of each segment only so many units occur, so that there are ties.
inline Codes made_codes(const Segments& segments, std::int64_t n, std::uint32_t which,
                        std::int64_t few = 1 << 16) {
  Codes codes;
  for (std::int64_t i = 0; i < n; ++i) {
    Rng rng(3, RngPurpose::kTest, which, static_cast<std::uint32_t>(i));
    codes.emplace_back();
    for (std::int64_t s = 0; s < segments.count(); ++s) {
      const auto below = static_cast<float>(std::min(few, segments.size(s)));
      codes.back().push_back(static_cast<std::uint16_t>(rng.uniform() * below));
    }
  }
  return codes;
}

inline std::vector<CodeMatch> first_of(std::vector<CodeMatch> all, std::int64_t k) {
  std::sort(all.begin(), all.end(),
            [](const CodeMatch& a, const CodeMatch& b) { return a.before(b); });
  if (std::ssize(all) > k) all.resize(static_cast<std::size_t>(k));
  return all;
}

inline std::vector<CodeMatch> reference_find(const Codes& codes, const CodeQuery& query,
                                             std::int64_t k) {
  std::vector<CodeMatch> all;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto unit = [&](int s) { return int{codes[i][static_cast<std::size_t>(s)]}; };
    bool holds = static_cast<std::int64_t>(i) != query.except;
    for (const SegmentUnit& u : query.same) holds = holds && unit(u.segment) == u.unit;
    for (const SegmentUnit& u : query.different)
      holds = holds && unit(u.segment) != u.unit;
    if (!holds) continue;
    std::int64_t score = 0;
    for (const int s : query.ranked)
      score += unit(s) == query.code[static_cast<std::size_t>(s)];
    all.push_back({static_cast<std::int64_t>(i), score});
  }
  return first_of(std::move(all), k);
}

// Sum of products of the weights of equal units.
inline std::int64_t reference_agreement(const SoftCode& a, const SoftCode& b) {
  std::int64_t sum = 0;
  for (std::size_t s = 0; s < a.units.size(); s += SoftIndex::kKept)
    for (std::size_t i = s; i < s + SoftIndex::kKept; ++i)
      for (std::size_t j = s; j < s + SoftIndex::kKept; ++j)
        if (a.units[i] == b.units[j]) sum += a.weights[i] * b.weights[j];
  return sum;
}

}  // namespace music::test
