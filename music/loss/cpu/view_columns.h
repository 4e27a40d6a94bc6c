#pragma once
// Statistics of the units of two views over a batch that processes may share,
// on the CPU: sums in double, by columns, so that their bits do not depend on
// the number of threads.

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "dist/communicator.h"

namespace music::cpu {

// The rows of two views of this process's samples, [2n,D].
struct ViewShape {
  std::int64_t n = 0, units = 0;
  double samples = 0;  // N, of all processes
  int threads = 1;
  dist::Communicator* communicator = nullptr;  // null: one process
};

// values [count]: their sums over the processes.
inline void sum_over_ranks(const ViewShape& s, double* values,
                           std::int64_t count) {
  if (s.communicator)
    s.communicator->all_reduce({values, Shape{count}, DType::kF64});
}

inline constexpr std::int64_t kColumnChunk = 256;

// fn(begin, end) over chunks of columns, at most kColumnChunk wide.
template <typename F>
void for_column_chunks(const ViewShape& s, F&& fn) {
#pragma omp parallel for num_threads(s.threads) schedule(static)
  for (std::int64_t begin = 0; begin < s.units; begin += kColumnChunk)
    fn(begin, std::min(begin + kColumnChunk, s.units));
}

// centred [2n,D]: z without each view's column means. squares [2,D]: sums of
// their squares over the batch.
void centre_columns(const ViewShape& shape, const float* z, float* centred,
                    double* squares);

}  // namespace music::cpu
