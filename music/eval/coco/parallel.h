#pragma once
// Loops over records on all threads.

#include <omp.h>

#include <cstddef>
#include <cstdint>
#include <exception>

namespace music::coco {

// fn(i) for i below n, in any order; of the calls that throw, the first in the
// order of i is the one that is heard.
template <typename F>
void parallel_records(std::size_t n, F&& fn) {
  std::exception_ptr failure;
  std::size_t failed = n;
#pragma omp parallel for schedule(dynamic, 64)
  for (std::size_t i = 0; i < n; ++i) {
    try {
      fn(i);
    } catch (...) {
#pragma omp critical(coco_parallel_records)
      if (i < failed) {
        failed = i;
        failure = std::current_exception();
      }
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace music::coco
