#include "music/codes/permutation_test.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "music/codes/association.h"

namespace music {
namespace {

constexpr std::uint32_t kAttributes = 0xFFFFFFFAu;  // among orders of kShuffle
constexpr double kNever = -std::numeric_limits<double>::infinity();

// round(x log x 2^30), for x up to n; sums up to n log n stay exact.
std::vector<std::int64_t> fixed_x_log_x(std::int64_t n) {
  MUSIC_CHECK(n < std::int64_t{1} << 28, "[attributes] {} images", n);
  std::vector<std::int64_t> table(static_cast<std::size_t>(n) + 1);
  for (std::size_t x = 1; x < table.size(); ++x)
    table[x] = std::llround(static_cast<double>(x) *
                            std::log(static_cast<double>(x)) * 0x1p30);
  return table;
}

// A pair's statistic as a function of the sum of x log x over its cells.
class Statistic {
 public:
  Statistic() = default;
  explicit Statistic(const Contingency& table) {
    const auto used = [](const auto& sums) {
      return std::ranges::count_if(sums, [](auto c) { return c > 0; });
    };
    const double freedom = static_cast<double>(
        (used(table.row_sums) - 1) * (used(table.column_sums) - 1));
    chance_ = chance_information(table.row_sums, table.column_sums);
    if (freedom <= 0 || !(chance_ > 0)) return;
    n_ = static_cast<double>(table.total);
    entropies_ = entropy(table.row_sums) + entropy(table.column_sums);
    const double variance = 2 / (9 * freedom);
    mean_ = 1 - variance;
    deviation_ = std::sqrt(variance);
  }
  bool tests() const { return deviation_ > 0; }
  double operator()(std::int64_t sum) const {
    if (!tests()) return kNever;
    const double joint = std::log(n_) - static_cast<double>(sum) * 0x1p-30 / n_;
    const double information = std::max(0.0, entropies_ - joint);
    return (std::cbrt(information / chance_) - mean_) / deviation_;
  }

 private:
  double chance_ = 0, n_ = 0, entropies_ = 0, mean_ = 0, deviation_ = 0;
};

struct PermutationProblem {
  std::int64_t n = 0;
  std::span<const Labels> codes, attributes;
  std::vector<std::vector<std::uint16_t>> value_columns;  // not known: one value more
  std::vector<std::int64_t> x_log_x;
  std::vector<Statistic> statistics;  // [codes, attributes]
  std::vector<std::int64_t> sums;     // as observed
  std::vector<double> observed;
};

std::vector<std::uint16_t> column(const Labels& labels) {
  MUSIC_CHECK(labels.values < Labels::kUnknown, "[attributes] {} values",
              labels.values);
  std::vector<std::uint16_t> out(labels.of.begin(), labels.of.end());
  std::ranges::replace(out, Labels::kUnknown,
                       static_cast<std::uint16_t>(labels.values));
  return out;
}

// What a thread counts with.
struct DealtCounts {
  std::vector<std::uint32_t> cells;
  std::vector<std::uint16_t> dealt;

  // Sum of x log x over the cells whose value is known. Leaves cells empty.
  std::int64_t sum(const PermutationProblem& problem, std::size_t s, std::size_t a,
                   const std::uint16_t* values) {
    const std::uint16_t* codes = problem.codes[s].of.data();
    const auto known = static_cast<std::size_t>(problem.attributes[a].values);
    const std::size_t width = known + 1;
    const auto rows = static_cast<std::size_t>(problem.codes[s].values);
    cells.assign(rows * width, 0);
    std::uint32_t* cell = cells.data();
    const auto n = static_cast<std::size_t>(problem.n);
    for (std::size_t i = 0; i < n; ++i) ++cell[codes[i] * width + values[i]];
    std::int64_t total = 0;
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < known; ++c)
        total += problem.x_log_x[cell[r * width + c]];
    return total;
  }

  // The values of attribute a, in the images' order, dealt in `order`.
  const std::uint16_t* deal(const PermutationProblem& problem, std::size_t a,
                            std::span<const std::uint32_t> order) {
    const auto& values = problem.value_columns[a];
    const auto unknown = static_cast<std::uint16_t>(problem.attributes[a].values);
    dealt.assign(values.size(), unknown);
    std::size_t next = 0;
    for (const std::uint32_t i : order) {
      if (values[i] == unknown) continue;
      while (values[next] == unknown) ++next;
      dealt[i] = values[next++];
    }
    return dealt.data();
  }
};

PermutationProblem observe(std::span<const Labels> codes, std::span<const Labels> attributes) {
  PermutationProblem p;
  p.codes = codes, p.attributes = attributes;
  p.n = static_cast<std::int64_t>(codes[0].of.size());
  p.x_log_x = fixed_x_log_x(p.n);
  for (const Labels& labels : attributes) p.value_columns.push_back(column(labels));
  const std::size_t pairs = codes.size() * attributes.size();
  p.statistics.resize(pairs), p.sums.resize(pairs), p.observed.resize(pairs);
#pragma omp parallel
  {
    DealtCounts scratch;
#pragma omp for schedule(dynamic)
    for (std::size_t pair = 0; pair < pairs; ++pair) {
      const std::size_t s = pair / attributes.size(), a = pair % attributes.size();
      Contingency table(codes[s].values, attributes[a].values);
      for (std::size_t i = 0; i < codes[s].of.size(); ++i)
        if (attributes[a].of[i] != Labels::kUnknown)
          table.add(codes[s].of[i], attributes[a].of[i]);
      p.statistics[pair] = Statistic(table);
      p.sums[pair] = scratch.sum(p, s, a, p.value_columns[a].data());
      p.observed[pair] = p.statistics[pair](p.sums[pair]);
    }
  }
  return p;
}

}  // namespace

std::vector<std::uint32_t> drawn_order(std::int64_t n, std::uint64_t seed,
                                       std::uint32_t index, std::uint32_t which) {
  std::vector<std::uint32_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0u);
  Rng rng(seed, RngPurpose::kShuffle, index, which, kAttributes);
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[rng.below(static_cast<std::uint32_t>(i))]);
  return order;
}

PermutationResult permutation_test(std::span<const Labels> codes,
                                   std::span<const Labels> attributes,
                                   const PermutationSpec& spec) {
  const PermutationProblem problem = observe(codes, attributes);
  const std::size_t pairs = problem.sums.size();
  const auto count = static_cast<std::size_t>(spec.permutations);
  std::vector<std::int64_t> as_large(pairs);
  std::vector<double> largest(count, kNever);
  const std::size_t batch = std::max<std::size_t>(
      count / 20, 4 * static_cast<std::size_t>(omp_get_max_threads()));
  for (std::size_t begin = 0; begin < count; begin += batch) {
    const std::size_t end = std::min(count, begin + batch);
#pragma omp parallel
    {
      DealtCounts scratch;
      std::vector<std::int64_t> mine(pairs);
#pragma omp for schedule(dynamic)
      for (std::size_t b = begin; b < end; ++b) {
        const auto order =
            drawn_order(problem.n, spec.seed, static_cast<std::uint32_t>(b), 0);
        for (std::size_t a = 0; a < attributes.size(); ++a) {
          const std::uint16_t* values = scratch.deal(problem, a, order);
          for (std::size_t s = 0; s < codes.size(); ++s) {
            const std::size_t pair = s * attributes.size() + a;
            const std::int64_t sum = scratch.sum(problem, s, a, values);
            mine[pair] += sum >= problem.sums[pair];
            largest[b] = std::max(largest[b], problem.statistics[pair](sum));
          }
        }
      }
#pragma omp critical
      for (std::size_t pair = 0; pair < pairs; ++pair)
        as_large[pair] += mine[pair];
    }
    if (spec.done)
      spec.done(static_cast<double>(end) / static_cast<double>(count));
  }
  std::ranges::sort(largest);
  PermutationResult result;
  const double all = static_cast<double>(count) + 1;
  for (std::size_t pair = 0; pair < pairs; ++pair) {
    const bool tests = problem.statistics[pair].tests();
    const auto above = largest.end() - std::ranges::lower_bound(
                                           largest, problem.observed[pair]);
    result.p.push_back(
        tests ? (1 + static_cast<double>(as_large[pair])) / all : 1);
    result.adjusted.push_back(tests ? (1 + static_cast<double>(above)) / all : 1);
  }
  return result;
}

std::vector<double> benjamini_hochberg(std::span<const double> p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return p[i]; });
  std::vector<double> q(p.size());
  double least = 1;
  for (std::size_t rank = p.size(); rank > 0; --rank) {
    const std::size_t i = order[rank - 1];
    least = std::min(least, p[i] * static_cast<double>(p.size()) /
                                static_cast<double>(rank));
    q[i] = least;
  }
  return q;
}

}  // namespace music
