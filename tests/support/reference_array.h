#pragma once
// A dense row-major array of doubles, for the reference operations.

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/core/error.h"

namespace music::reference {

struct Array {
  std::vector<std::int64_t> shape;
  std::vector<double> data;

  Array() = default;
  explicit Array(std::vector<std::int64_t> dims) : shape(std::move(dims)) {
    data.resize(static_cast<std::size_t>(count()));
  }
  // Values of any type, as the fp32 tensor under test holds them.
  template <typename Range>
  Array(std::vector<std::int64_t> dims, const Range& values)
      : shape(std::move(dims)), data(values.begin(), values.end()) {
    MUSIC_CHECK(count() == size(), "[reference] {} values for {}", size(),
                count());
  }

  std::int64_t dim(int i) const { return shape[static_cast<std::size_t>(i)]; }
  std::int64_t size() const { return static_cast<std::int64_t>(data.size()); }
  double& operator[](std::int64_t i) {
    return data[static_cast<std::size_t>(i)];
  }
  double operator[](std::int64_t i) const {
    return data[static_cast<std::size_t>(i)];
  }

 private:
  std::int64_t count() const {
    std::int64_t n = 1;
    for (std::int64_t d : shape) n *= d;
    return n;
  }
};

}  // namespace music::reference
