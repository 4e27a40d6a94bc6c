#pragma once
// Association of categorical columns, as it is defined and no faster.

#include <cmath>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace music::test {

// sum p(a,b) log(p(a,b) / p(a) p(b)) over the rows where both are known (>= 0).
inline double reference_information(const std::vector<int>& a,
                                    const std::vector<int>& b) {
  std::map<int, double> rows, columns;
  std::map<std::pair<int, int>, double> cells;
  double n = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] < 0 || b[i] < 0) continue;
    ++rows[a[i]], ++columns[b[i]], ++cells[{a[i], b[i]}], ++n;
  }
  double information = 0;
  for (const auto& [cell, count] : cells)
    information += count / n *
                   std::log(count * n / (rows[cell.first] * columns[cell.second]));
  return information;
}

inline double reference_entropy(const std::vector<int>& a) {
  return reference_information(a, a);
}

// E[information] over all tables of these margins, each probability from
// factorials (Vinh et al., JMLR 2010, eq. 24a).
inline double reference_chance(const std::vector<int>& a, const std::vector<int>& b) {
  std::map<int, double> rows, columns;
  for (std::size_t i = 0; i < a.size(); ++i) ++rows[a[i]], ++columns[b[i]];
  const double n = static_cast<double>(a.size());
  const auto factorial = [](double x) { return std::lgamma(x + 1); };
  double expected = 0;
  for (const auto& [one, r] : rows)
    for (const auto& [other, c] : columns)
      for (double k = std::max(1.0, r + c - n); k <= std::min(r, c); ++k)
        expected +=
            k / n * std::log(n * k / (r * c)) *
            std::exp(factorial(r) + factorial(c) + factorial(n - r) +
                     factorial(n - c) - factorial(n) - factorial(k) -
                     factorial(r - k) - factorial(c - k) - factorial(n - r - c + k));
  return expected;
}

}  // namespace music::test
