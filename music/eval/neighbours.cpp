#include "music/eval/neighbours.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/core/error.h"
#include "music/eval/cpu/similarity.h"

namespace music {
namespace {

// Sums in double, in an order that no vector width changes: a product of two
// floats is exact there, so a fused multiply-add is no exception.
double dot(const float* a, const float* b, std::int64_t width) {
  constexpr int kLanes = 32;
  double sum[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes)
    for (int l = 0; l < kLanes; ++l)
      sum[l] += static_cast<double>(a[i + l]) * static_cast<double>(b[i + l]);
  for (int l = 0; i < width; ++i, ++l)
    sum[l] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) sum[l] += sum[l + half];
  return sum[0];
}

double cosine(const float* a, const float* b, std::int64_t width,
              double square_a, double square_b) {
  return square_a > 0 && square_b > 0
             ? dot(a, b, width) / std::sqrt(square_a * square_b)
             : 0;
}

// |row|^2 of each; `row(i)` is its number for people.
template <typename RowOf>
std::vector<double> squares(const Rows& rows, std::int64_t count, RowOf row,
                            const std::string& what) {
  std::vector<double> square(static_cast<std::size_t>(count));
  std::int64_t bad = count;
#pragma omp parallel for schedule(static) reduction(min : bad)
  for (std::int64_t i = 0; i < count; ++i) {
    const float* r = rows.row(row(i));
    const double s = dot(r, r, rows.width);
    square[static_cast<std::size_t>(i)] = s;
    if (!(s == 0 || (s >= 1e-60 && s <= 1e60))) bad = std::min(bad, i);
  }
  if (bad < count)
    throw error(ExitCode::kData,
                "[knn] feature row {} of the {} images has length {}: expected "
                "finite values, 0 or 1e-30 to 1e30", row(bad), what,
                std::sqrt(square[static_cast<std::size_t>(bad)]));
  return square;
}

// What a single-precision product may be off a cosine: rounding of the query's
// elements, of each multiplication and addition, and of the scaling.
double screening_error(std::int64_t width) {
  return 1.1 * 0x1p-24 * static_cast<double>(width + 16);
}

float round_down(double v) {
  return std::nextafter(static_cast<float>(v),
                        -std::numeric_limits<float>::infinity());
}

}  // namespace

double cosine_similarity(const float* a, const float* b, std::int64_t width) {
  return cosine(a, b, width, dot(a, a, width), dot(b, b, width));
}

// The rows that may be among a query's k nearest of those seen so far. The first
// `settled_` hold their true similarity, the others the product's.
class NeighbourSearch::Shortlist {
 public:
  static std::int64_t capacity(std::int64_t k) {
    return k + std::max<std::int64_t>(k, 256);
  }

  // room: capacity(k) entries
  Shortlist(const NeighbourSearch& search, const float* query, double square,
            std::int64_t k, Neighbour* room)
      : search_(search), query_(query), square_(square),
        k_(k), error_(screening_error(search.bank_.width)), entries_(room) {}

  // Rows from `begin` on with their products, each to be scaled.
  void offer(std::int64_t begin, std::int64_t rows, const float* products,
             const float* scale) {
    if (square_ == 0 && count_ >= k_) return;  // equally far from all
    constexpr std::int64_t kChunk = 64;
    for (std::int64_t at = 0; at < rows; at += kChunk) {
      const std::int64_t end = std::min(rows, at + kChunk);
      int hits = 0;
      for (std::int64_t j = at; j < end; ++j)
        hits += products[j] * scale[j] >= threshold_;
      if (hits == 0) continue;
      for (std::int64_t j = at; j < end; ++j) {
        const float similarity = products[j] * scale[j];
        if (!(similarity >= threshold_)) continue;
        entries_[count_++] = {static_cast<double>(similarity), begin + j};
        if (count_ == capacity(k_)) tighten();
      }
    }
  }

  // Writes the k nearest. Returns how many rows were compared in double.
  std::int64_t finish(Neighbour* out) {
    if (count_ > k_ && settled_ == 0) prune();
    settle();
    std::copy_n(entries_, k_, out);
    for (std::int64_t i = 0; i < k_; ++i)
      out[i].row = search_.bank_row(out[i].row);
    return compared_;
  }

 private:
  static bool nearer(const Neighbour& a, const Neighbour& b) {
    return a.nearer(b);
  }

  void tighten() {
    if (settled_ == 0) prune();
    // Many rows within the error of each other: only their true similarities
    // tell them apart.
    if (settled_ > 0 || count_ > k_ + (capacity(k_) - k_) / 2) settle();
  }

  void prune() {
    std::nth_element(entries_, entries_ + (k_ - 1), entries_ + count_, nearer);
    threshold_ = round_down(entries_[k_ - 1].similarity - 2 * error_);
    const auto keep = [this](const Neighbour& n) {
      return n.similarity >= static_cast<double>(threshold_);
    };
    count_ = std::partition(entries_ + k_, entries_ + count_, keep) - entries_;
  }

  void settle() {
    for (std::int64_t i = settled_; i < count_; ++i) {
      const std::int64_t row = entries_[i].row;
      entries_[i].similarity =
          cosine(query_, search_.bank_.row(search_.bank_row(row)),
                 search_.bank_.width, square_,
                 search_.squares_[static_cast<std::size_t>(row)]);
    }
    compared_ += count_ - settled_;
    std::sort(entries_, entries_ + count_, nearer);
    settled_ = count_ = std::min(count_, k_);
    if (count_ == k_)
      threshold_ = round_down(entries_[k_ - 1].similarity - error_);
  }

  const NeighbourSearch& search_;
  const float* query_;
  double square_;
  std::int64_t k_;
  double error_;
  Neighbour* entries_;
  std::int64_t count_ = 0, settled_ = 0, compared_ = 0;
  float threshold_ = -std::numeric_limits<float>::infinity();
};

NeighbourSearch::NeighbourSearch(const Rows& bank, const std::string& what,
                                 std::optional<std::span<const std::int64_t>> chosen,
                                 const NeighbourBlocks& blocks)
    : bank_(bank), chosen_(chosen), blocks_(blocks),
      size_(chosen ? static_cast<std::int64_t>(chosen->size()) : bank.count),
      squares_(squares(bank, size_, [this](std::int64_t i) { return bank_row(i); },
                       what)) {}

// Rows begin to begin + rows of those that may be neighbours, one after another.
const float* NeighbourSearch::block(std::int64_t begin, std::int64_t rows) {
  if (!chosen_) return bank_.row(begin);
  copy_.resize(static_cast<std::size_t>(blocks_.bank * bank_.width));
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < rows; ++i)
    std::copy_n(bank_.row(bank_row(begin + i)), bank_.width,
                copy_.data() + i * bank_.width);
  return copy_.data();
}

void NeighbourSearch::find(const Rows& queries, std::int64_t k,
                           std::span<Neighbour> out,
                           const std::function<void(double)>& done) {
  MUSIC_CHECK(k >= 1 && k <= size_ && queries.width == bank_.width &&
                  static_cast<std::int64_t>(out.size()) == queries.count * k,
              "[knn] {} neighbours among {} rows of {} for {} rows of {}, room "
              "for {}", k, size_, bank_.width, queries.count, queries.width,
              out.size());
  const std::vector<double> square = squares(
      queries, queries.count, [](std::int64_t i) { return i; }, "test");
  const std::int64_t most = std::min(blocks_.queries, queries.count);
  const std::int64_t width = bank_.width, room = Shortlist::capacity(k);
  units_.resize(static_cast<std::size_t>(most * width));
  tile_.resize(static_cast<std::size_t>(most * std::min(blocks_.bank, size_)));
  std::vector<Neighbour> entries(static_cast<std::size_t>(most * room));
  std::vector<float> scale(static_cast<std::size_t>(blocks_.bank));

  for (std::int64_t first = 0; first < queries.count; first += most) {
    const std::int64_t n = std::min(most, queries.count - first);
    std::vector<Shortlist> lists;
    lists.reserve(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n; ++i) {
      const double s = square[static_cast<std::size_t>(first + i)];
      const float* query = queries.row(first + i);
      lists.emplace_back(*this, query, s, k, entries.data() + i * room);
      const double unit = s > 0 ? 1 / std::sqrt(s) : 0;
      for (std::int64_t j = 0; j < width; ++j)
        units_[static_cast<std::size_t>(i * width + j)] =
            static_cast<float>(static_cast<double>(query[j]) * unit);
    }
    for (std::int64_t begin = 0; begin < size_; begin += blocks_.bank) {
      const std::int64_t rows = std::min(blocks_.bank, size_ - begin);
      cpu::dot_products(units_.data(), n, block(begin, rows), rows, width,
                        tile_.data());
      for (std::int64_t j = 0; j < rows; ++j) {
        const double s = squares_[static_cast<std::size_t>(begin + j)];
        scale[static_cast<std::size_t>(j)] =
            s > 0 ? static_cast<float>(1 / std::sqrt(s)) : 0.0f;
      }
#pragma omp parallel for schedule(dynamic, 8)
      for (std::int64_t i = 0; i < n; ++i)
        lists[static_cast<std::size_t>(i)].offer(
            begin, rows, tile_.data() + i * rows, scale.data());
      if (done)
        done((static_cast<double>(first) +
              static_cast<double>(n) * static_cast<double>(begin + rows) /
                  static_cast<double>(size_)) /
             static_cast<double>(queries.count));
    }
    std::int64_t compared = 0;
#pragma omp parallel for schedule(dynamic, 8) reduction(+ : compared)
    for (std::int64_t i = 0; i < n; ++i)
      compared += lists[static_cast<std::size_t>(i)].finish(
          out.data() + (first + i) * k);
    compared_ += compared;
  }
}

}  // namespace music
