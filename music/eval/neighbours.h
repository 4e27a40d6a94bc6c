#pragma once
// Exact nearest neighbours by cosine similarity, without an index.
//
// A similarity is dot(a, b) / sqrt(|a|^2 |b|^2), all three sums in double and in
// one fixed order, 0 for a row of zeros. Neighbours are sorted by it, equal ones
// by their row: what comes out does not depend on blocks, threads, or which other
// rows are in the bank. A single-precision product of a block of queries and a
// block of the bank only chooses whom to compare in double; its error has a bound
// (any order of summation: Higham, Accuracy and Stability, 3.1), and every row
// within it of the k-th is compared.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace music {

// Rows of features that someone else holds: [count, width].
struct Rows {
  const float* values = nullptr;
  std::int64_t count = 0, width = 0;

  const float* row(std::int64_t i) const { return values + i * width; }
};

struct Neighbour {
  double similarity = 0;
  std::int64_t row = -1;  // of the bank

  // Comes before the other one.
  bool nearer(const Neighbour& other) const {
    return similarity != other.similarity ? similarity > other.similarity
                                          : row < other.row;
  }
};

// The similarity as defined above.
double cosine_similarity(const float* a, const float* b, std::int64_t width);

struct NeighbourBlocks {
  std::int64_t queries = 1024, bank = 2048;
};

class NeighbourSearch {
 public:
  // chosen: rows that may be neighbours, ascending; nothing: all. Both must
  // stay. Throws kData, naming it `what` ("training"), for a row with a value
  // that is not finite, or of a length beyond 1e-30 to 1e30 (but 0).
  NeighbourSearch(const Rows& bank, const std::string& what,
                  std::optional<std::span<const std::int64_t>> chosen = {},
                  const NeighbourBlocks& blocks = {});

  // Rows that may be neighbours.
  std::int64_t size() const { return size_; }
  // Whom similarities were compared with in double so far, of all queries.
  std::int64_t compared() const { return compared_; }

  // out[queries.count, k], nearest first; k at most size(). Memory beside it:
  // a block of queries, of similarities and of 2 k candidates a query. done: as
  // the bank's blocks are, the share of the work. Throws as the constructor.
  void find(const Rows& queries, std::int64_t k, std::span<Neighbour> out,
            const std::function<void(double)>& done = nullptr);

 private:
  class Shortlist;

  std::int64_t bank_row(std::int64_t i) const {
    return chosen_ ? (*chosen_)[static_cast<std::size_t>(i)] : i;
  }
  const float* block(std::int64_t begin, std::int64_t rows);

  Rows bank_;
  std::optional<std::span<const std::int64_t>> chosen_;
  NeighbourBlocks blocks_;
  std::int64_t size_, compared_ = 0;
  std::vector<double> squares_;       // |row|^2, of each that may be a neighbour
  std::vector<float> copy_, tile_, units_;  // chosen rows, similarities, queries
};

}  // namespace music
