#pragma once
// Sums that kernels leave in parts, one a block. For .cu files.

#include <cstdint>

#include "engine/cuda/block_reduce.h"

namespace music::cuda {

// Parts of one sum.
struct Parts {
  const double* values;
  std::int64_t count;
};

// In thread 0 of the block that calls.
__device__ inline double sum_parts(const Parts& parts) {
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < parts.count; i += blockDim.x)
    sum += parts.values[i];
  return block_sum(sum);
}

}  // namespace music::cuda
