#include "music/eval/row_neighbours.h"

#include <algorithm>
#include <vector>

#include "engine/core/error.h"

namespace music {
namespace {

class Piece {
 public:
  Piece(const NpyReader& file, std::int64_t most)
      : file_(file), width_(file.shape()[1]),
        values_(static_cast<std::size_t>(most * width_)) {}

  Rows read(std::int64_t begin, std::int64_t rows) {
    const std::span<float> part(values_.data(), static_cast<std::size_t>(rows * width_));
    file_.read(begin * width_, std::as_writable_bytes(part));
    return {values_.data(), rows, width_};
  }

 private:
  const NpyReader& file_;
  std::int64_t width_;
  std::vector<float> values_;
};

}  // namespace

void row_neighbours(const NpyReader& file, std::int64_t k, std::span<Neighbour> out,
                    const std::function<void(double)>& done, std::int64_t bytes) {
  MUSIC_CHECK(file.dtype() == DType::kF32 && file.shape().size() == 2,
              "[knn] rows of {}", file.path().string());
  const std::int64_t n = file.shape()[0];
  std::ranges::fill(out, Neighbour());
  MUSIC_CHECK(k >= 1 && k < n && std::ssize(out) == n * k,
              "[knn] {} neighbours of each of {} rows, room for {}", k, n, out.size());
  const std::int64_t most =
      std::clamp<std::int64_t>(bytes / (4 * file.shape()[1]), 1, n);
  Piece bank_piece(file, most), query_piece(file, most);
  std::vector<Neighbour> found, merged;
  double work = 0;
  for (std::int64_t bank = 0; bank < n; bank += most) {
    const Rows rows = bank_piece.read(bank, std::min(most, n - bank));
    NeighbourSearch search(rows, "atlas");
    // One more than wanted: a row may be its own neighbour.
    const std::int64_t take = std::min(k + 1, rows.count);
    for (std::int64_t first = 0; first < n; first += most) {
      const Rows queries = query_piece.read(first, std::min(most, n - first));
      found.resize(static_cast<std::size_t>(queries.count * take));
      const double share = static_cast<double>(rows.count) *
                           static_cast<double>(queries.count) /
                           (static_cast<double>(n) * static_cast<double>(n));
      search.find(queries, take, found, [&](double part) {
        if (done) done(work + part * share);
      });
      work += share;
      for (std::int64_t q = 0; q < queries.count; ++q) {
        merged.assign(out.begin() + (first + q) * k, out.begin() + (first + q + 1) * k);
        std::erase_if(merged, [](const Neighbour& m) { return m.row < 0; });
        for (std::int64_t i = 0; i < take; ++i) {
          Neighbour m = found[static_cast<std::size_t>(q * take + i)];
          m.row += bank;
          if (m.row != first + q) merged.push_back(m);
        }
        std::sort(merged.begin(), merged.end(),
                  [](const Neighbour& a, const Neighbour& b) { return a.nearer(b); });
        merged.resize(static_cast<std::size_t>(k));  // short of k: rows of -1
        std::ranges::copy(merged, out.begin() + (first + q) * k);
      }
    }
  }
}

}  // namespace music
