#pragma once
// How much two categorical variables tell of each other, from counts. All
// information is in nats, sums in double.

#include <cstdint>
#include <span>
#include <vector>

namespace music {

// Pairs counted: cell (a, b) at a * columns + b.
struct Contingency {
  std::int64_t rows = 0, columns = 0, total = 0;
  std::vector<std::int64_t> cells, row_sums, column_sums;

  Contingency(std::int64_t rows, std::int64_t columns)
      : rows(rows), columns(columns),
        cells(static_cast<std::size_t>(rows * columns)),
        row_sums(static_cast<std::size_t>(rows)),
        column_sums(static_cast<std::size_t>(columns)) {}
  void add(std::int64_t a, std::int64_t b) {
    ++cells[static_cast<std::size_t>(a * columns + b)];
    ++row_sums[static_cast<std::size_t>(a)];
    ++column_sums[static_cast<std::size_t>(b)];
    ++total;
  }
};

struct Association {
  double information = 0;  // mutual information of the counts as they are
  // What independent variables of the same margins show, in expectation: the
  // hypergeometric model of Vinh et al. (JMLR 2010), exact.
  double chance = 0;
  // Miller and Madow's correction: information - (occupied cells - occupied rows
  // - occupied columns + 1) / 2n. May be below 0.
  double corrected = 0;
  // Whether that can be trusted: 5 images a cell (occupied rows times columns) or
  // more. With fewer, cells that are empty by chance are taken for
  // impossible ones, and what is left of the bias can exceed what is told.
  bool enough = false;
  // (information - chance) / (H(columns) - chance): 0 = no more than chance, 1 =
  // the rows tell all of the columns. 0 where the columns are constant.
  double share = 0;
  // Adjusted mutual information with the mean of the entropies, as scikit-learn:
  // (information - chance) / ((H(rows) + H(columns)) / 2 - chance).
  double adjusted = 0;
};

Association associate(const Contingency& table);

// Of counts, in nats.
double entropy(std::span<const std::int64_t> counts);

// E[information] with both margins fixed.
double chance_information(std::span<const std::int64_t> row_sums,
                          std::span<const std::int64_t> column_sums);

// P(X >= hits) of `draws` out of `total`, `marked` of which are marked.
double hypergeometric_tail(std::int64_t hits, std::int64_t draws,
                           std::int64_t marked, std::int64_t total);

}  // namespace music
