#pragma once
// Shared by the CPU bodies that take a matrix row by row.

#include "engine/cpu/elementwise.h"

namespace music::cpu {

// fn(row) for m rows of d elements, shared among threads.
template <typename F>
void for_dense_rows(std::int64_t m, std::int64_t d, F fn) {
  const std::int64_t grain = std::max<std::int64_t>(1, kElementGrain / d);
  parallel_ranges(m, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) fn(row);
  });
}

// The inner product, in fp64.
inline double dot(const float* a, const float* b, std::int64_t n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

}  // namespace music::cpu
