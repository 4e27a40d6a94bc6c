#pragma once
// k nearest neighbours and their vote by brute force in double: every similarity,
// a full sort, every class.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace music::test {

struct ReferenceNeighbours {
  std::vector<std::int64_t> rows;  // of the bank, nearest first
  std::vector<double> similarities;
};

// Sorted by similarity, then by row. A row of zeros is like none: 0.
inline ReferenceNeighbours reference_neighbours(const std::vector<float>& bank,
                                                const float* query,
                                                std::int64_t width) {
  const std::int64_t n = static_cast<std::int64_t>(bank.size()) / width;
  std::vector<double> all;
  for (std::int64_t i = 0; i < n; ++i) {
    double product = 0, a = 0, b = 0;
    for (std::int64_t j = 0; j < width; ++j) {
      const double x = query[j];
      const double y = bank[static_cast<std::size_t>(i * width + j)];
      product += x * y;
      a += x * x;
      b += y * y;
    }
    all.push_back(a > 0 && b > 0 ? product / std::sqrt(a * b) : 0);
  }
  ReferenceNeighbours r;
  r.rows.resize(all.size());
  std::iota(r.rows.begin(), r.rows.end(), 0);
  std::stable_sort(r.rows.begin(), r.rows.end(), [&](auto x, auto y) {
    return all[static_cast<std::size_t>(x)] > all[static_cast<std::size_t>(y)];
  });
  for (const std::int64_t row : r.rows)
    r.similarities.push_back(all[static_cast<std::size_t>(row)]);
  return r;
}

// Labels with a vote, most votes first, equal votes by label.
inline std::vector<int> reference_ranking(const ReferenceNeighbours& nearest,
                                          std::span<const int> labels,
                                          int classes, int k, double t) {
  std::vector<double> votes(static_cast<std::size_t>(classes));
  std::vector<int> ranking;
  for (std::size_t i = 0; i < static_cast<std::size_t>(k); ++i) {
    const int c = labels[static_cast<std::size_t>(nearest.rows[i])];
    votes[static_cast<std::size_t>(c)] += std::exp(nearest.similarities[i] / t);
    ranking.push_back(c);
  }
  std::sort(ranking.begin(), ranking.end());
  ranking.erase(std::unique(ranking.begin(), ranking.end()), ranking.end());
  std::stable_sort(ranking.begin(), ranking.end(), [&](int a, int b) {
    return votes[static_cast<std::size_t>(a)] > votes[static_cast<std::size_t>(b)];
  });
  return ranking;
}

}  // namespace music::test
