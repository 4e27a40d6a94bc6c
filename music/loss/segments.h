#pragma once
// The MUSIC code: an embedding of D units cut into S segments (paper 2.2).

#include <cstdint>
#include <utility>
#include <vector>

namespace music {

// Segment boundaries: segment s holds units [begin[s], begin[s+1]).
class Segments {
 public:
  // Equal segments of `size` units. Throws ExitCode::kUsage, naming the
  // nearest usable D, when size does not divide `units`.
  static Segments equal(std::int64_t units, std::int64_t size);
  // Uneven segments of the given sizes, each >= 2.
  static Segments uneven(const std::vector<std::int64_t>& sizes);

  std::int64_t count() const { return static_cast<std::int64_t>(begin_.size()) - 1; }
  std::int64_t units() const { return begin_.back(); }
  std::int64_t begin(std::int64_t s) const { return begin_[static_cast<std::size_t>(s)]; }
  std::int64_t size(std::int64_t s) const { return begin(s + 1) - begin(s); }
  bool is_equal() const;

 private:
  explicit Segments(std::vector<std::int64_t> begin) : begin_(std::move(begin)) {}
  std::vector<std::int64_t> begin_;
};

}  // namespace music
