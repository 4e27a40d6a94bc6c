#pragma once
// Statistics of codes as naive loops in double over all images at once: the truth
// that the streamed ones are held to (music/codes).

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "music/loss/segments.h"

namespace music::test {

using Rows = std::vector<std::vector<double>>;  // images, units

inline Rows reference_codes(const Rows& z, const Segments& segments,
                            double temperature) {
  Rows q = z;
  for (auto& row : q)
    for (std::int64_t s = 0; s < segments.count(); ++s) {
      double sum = 0;
      for (auto d = segments.begin(s); d < segments.begin(s + 1); ++d)
        sum += row[static_cast<std::size_t>(d)] =
            std::exp(row[static_cast<std::size_t>(d)] / temperature);
      for (auto d = segments.begin(s); d < segments.begin(s + 1); ++d)
        row[static_cast<std::size_t>(d)] /= sum;
    }
  return q;
}

// mean over images of a(i, d) b(i, e).
inline double reference_joint(const Rows& a, const Rows& b, std::int64_t d,
                              std::int64_t e) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    sum += a[i][static_cast<std::size_t>(d)] * b[i][static_cast<std::size_t>(e)];
  return sum / static_cast<double>(a.size());
}

// The largest unit of segment s, counted within it.
inline std::int64_t reference_code(const std::vector<double>& z,
                                   const Segments& segments, std::int64_t s) {
  const auto begin = z.begin() + segments.begin(s);
  return std::max_element(begin, begin + segments.size(s)) - begin;
}

// I(s, t) of the codes in nats, by its definition: sum p log(p / (p p)); and the
// correction of Miller and Madow.
struct ReferenceInformation {
  double plug_in = 0, correction = 0;
};
inline ReferenceInformation reference_information(const Rows& z,
                                                  const Segments& segments,
                                                  std::int64_t s,
                                                  std::int64_t t) {
  std::map<std::int64_t, double> a, b;
  std::map<std::pair<std::int64_t, std::int64_t>, double> both;
  const double n = static_cast<double>(z.size());
  for (const auto& row : z) {
    const auto x = reference_code(row, segments, s),
               y = reference_code(row, segments, t);
    a[x] += 1 / n;
    b[y] += 1 / n;
    both[{x, y}] += 1 / n;
  }
  ReferenceInformation result;
  for (const auto& [cell, p] : both)
    result.plug_in += p * std::log(p / (a[cell.first] * b[cell.second]));
  const auto size = [](const auto& map) { return static_cast<double>(map.size()); };
  // Each entropy is too small by (cells - 1) / 2n.
  result.correction = ((size(a) - 1) + (size(b) - 1) - (size(both) - 1)) / (2 * n);
  return result;
}

}  // namespace music::test
