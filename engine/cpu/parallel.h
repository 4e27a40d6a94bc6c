#pragma once
// Work sharing for the CPU bodies. Partitions depend on the problem, not on
// the thread count, wherever a reduction is involved: results are the same
// bits for any number of threads.

#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace music::cpu {

// fn(begin, end) over [0,n) in contiguous pieces, one a thread, whose starts
// are multiples of `grain`; serial below 2 * grain.
template <typename F>
void parallel_ranges(std::int64_t n, std::int64_t grain, F&& fn) {
  if (n < 2 * grain) {
    if (n > 0) fn(std::int64_t{0}, n);
    return;
  }
#pragma omp parallel
  {
    const std::int64_t threads = omp_get_num_threads();
    const std::int64_t grains = (n + grain - 1) / grain;
    const std::int64_t t = omp_get_thread_num();
    const std::int64_t begin = grains * t / threads * grain;
    const std::int64_t end = std::min(n, grains * (t + 1) / threads * grain);
    if (begin < end) fn(begin, end);
  }
}

}  // namespace music::cpu
