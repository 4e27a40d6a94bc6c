#include "music/codes/association.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace music {
namespace {

// Cells a table needs images for, on average, before its occupied cells can be
// counted (Cochran's rule for expected counts).
constexpr std::int64_t kImagesPerCell = 5;

double x_log_x(double x) { return x > 0 ? x * std::log(x) : 0; }

std::int64_t occupied(std::span<const std::int64_t> counts) {
  return std::ranges::count_if(counts, [](auto c) { return c > 0; });
}

// X drawn by the hypergeometric distribution: so many marked ones among `draws`
// of `total`, `marked` of which are marked. Calls visit(x, weight) from the mode
// upwards, then from below it downwards, as long as weights count; weights are
// those of the mode times an unknown constant.
template <typename Visit>
void walk(std::int64_t draws, std::int64_t marked, std::int64_t total,
          double least, const Visit& visit) {
  const auto real = [](std::int64_t x) { return static_cast<double>(x); };
  const std::int64_t low = std::max<std::int64_t>(0, draws + marked - total);
  const std::int64_t high = std::min(draws, marked);
  const auto mode = std::clamp(
      static_cast<std::int64_t>(real(draws + 1) * real(marked + 1) /
                                real(total + 2)),
      low, high);
  // P(x + 1) / P(x)
  const auto ratio = [&](std::int64_t x) {
    return real(draws - x) * real(marked - x) /
           (real(x + 1) * real(total - draws - marked + x + 1));
  };
  double weight = 1;
  for (std::int64_t x = mode; x <= high && weight > least; ++x) {
    visit(x, weight);
    if (x < high) weight *= ratio(x);
  }
  weight = 1;
  for (std::int64_t x = mode - 1; x >= low; --x) {
    weight /= ratio(x);
    if (weight <= least) break;
    visit(x, weight);
  }
}

// Sizes that occur, and how often.
std::map<std::int64_t, std::int64_t> sizes(std::span<const std::int64_t> sums) {
  std::map<std::int64_t, std::int64_t> found;
  for (const std::int64_t sum : sums)
    if (sum > 0) ++found[sum];
  return found;
}

}  // namespace

double entropy(std::span<const std::int64_t> counts) {
  double total = 0, sum = 0;
  for (const std::int64_t c : counts) {
    total += static_cast<double>(c);
    sum += x_log_x(static_cast<double>(c));
  }
  return total > 0 ? std::max(0.0, std::log(total) - sum / total) : 0;
}

double chance_information(std::span<const std::int64_t> row_sums,
                          std::span<const std::int64_t> column_sums) {
  std::int64_t total = 0;
  for (const std::int64_t sum : row_sums) total += sum;
  if (total == 0) return 0;
  const double n = static_cast<double>(total);
  double expected = 0;
  const auto columns = sizes(column_sums);
  for (const auto& [a, rows] : sizes(row_sums))
    for (const auto& [b, times] : columns) {
      const double per_image =
          n / (static_cast<double>(a) * static_cast<double>(b));
      double sum = 0, weights = 0;
      walk(a, b, total, 1e-18, [&](std::int64_t x, double weight) {
        weights += weight;
        if (x > 0) {
          const double count = static_cast<double>(x);
          sum += weight * count * std::log(count * per_image);
        }
      });
      expected += static_cast<double>(rows * times) * (sum / weights);
    }
  return std::max(0.0, expected / n);
}

Association associate(const Contingency& table) {
  Association found;
  if (table.total == 0) return found;
  const double n = static_cast<double>(table.total);
  const double rows = entropy(table.row_sums);
  const double columns = entropy(table.column_sums);
  const std::int64_t used_rows = occupied(table.row_sums);
  const std::int64_t used_columns = occupied(table.column_sums);
  found.information =
      std::max(0.0, rows + columns - entropy(table.cells));
  found.chance = chance_information(table.row_sums, table.column_sums);
  found.corrected =
      found.information -
      static_cast<double>(occupied(table.cells) - used_rows - used_columns + 1) /
          (2 * n);
  found.enough = table.total >= kImagesPerCell * used_rows * used_columns;
  // Nothing to tell, or a column each image: chance tells all of it.
  constexpr double kNothing = 1e-12;
  const double above = found.information - found.chance;
  if (columns - found.chance > kNothing)
    found.share = above / (columns - found.chance);
  if ((rows + columns) / 2 - found.chance > kNothing)
    found.adjusted = above / ((rows + columns) / 2 - found.chance);
  return found;
}

double hypergeometric_tail(std::int64_t hits, std::int64_t draws,
                           std::int64_t marked, std::int64_t total) {
  double tail = 0, all = 0;
  walk(draws, marked, total, 0, [&](std::int64_t x, double weight) {
    all += weight;
    if (x >= hits) tail += weight;
  });
  return tail / all;
}

}  // namespace music
