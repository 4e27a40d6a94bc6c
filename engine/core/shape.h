#pragma once
// Shape: up to five dimensions by value, row-major. Rank 0 is a scalar.

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include <fmt/ranges.h>

#include "engine/core/error.h"

namespace music {

class Shape {
 public:
  static constexpr int kMaxRank = 5;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims)
      : Shape(std::span<const std::int64_t>(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const std::int64_t> dims) {
    MUSIC_CHECK(dims.size() <= kMaxRank, "[shape] rank {} exceeds {}",
                dims.size(), kMaxRank);
    for (std::int64_t d : dims) {
      MUSIC_CHECK(d >= 0, "[shape] dimension {} is negative", d);
      dims_[rank_++] = d;
    }
  }

  int rank() const { return rank_; }
  // Negative indices count from the end.
  std::int64_t operator[](int i) const {
    return dims_[static_cast<std::size_t>(i < 0 ? i + rank_ : i)];
  }
  std::int64_t elements() const {
    std::int64_t n = 1;
    for (int i = 0; i < rank_; ++i) n *= dims_[static_cast<std::size_t>(i)];
    return n;
  }
  // Of a shape that lives on: a temporary's would dangle.
  std::span<const std::int64_t> dims() const&& = delete;
  std::span<const std::int64_t> dims() const& {
    return {dims_.data(), static_cast<std::size_t>(rank_)};
  }
  bool operator==(const Shape& other) const {
    if (rank_ != other.rank_) return false;
    for (int i = 0; i < rank_; ++i)
      if ((*this)[i] != other[i]) return false;
    return true;
  }
  // "[64,3,7,7]"
  std::string str() const {
    return fmt::format("[{}]", fmt::join(dims(), ","));
  }

 private:
  std::array<std::int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

}  // namespace music
