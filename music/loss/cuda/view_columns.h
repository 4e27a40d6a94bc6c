#pragma once
// Statistics of the units of two views over a batch that processes may share,
// on the GPU: the GPU's side of music/loss/cpu/view_columns.h.

#include <cstdint>

#include "dist/communicator.h"

namespace music::cuda {

// The rows of two views of this process's samples, [2n,D].
struct ViewShape {
  std::int64_t n = 0, units = 0;
  std::int64_t stride = 0;  // between rows of matrices in the workspace: D,
                            // padded to a vector
  double samples = 0;       // N, of all processes
  dist::Communicator* communicator = nullptr;  // null: one process
};
ViewShape view_shape(std::int64_t n, std::int64_t units, std::int64_t samples,
                     dist::Communicator* communicator);

// values [count]: their sums over the processes.
void sum_over_ranks(const ViewShape& shape, double* values, std::int64_t count,
                    void* stream);

// centred [2n,stride]: z [2n,D] without each view's column means. squares
// [2,D]: sums of their squares over the batch. sums [2,D] is scratch.
void centre_columns(const ViewShape& shape, const float* z, float* centred,
                    double* sums, double* squares, void* stream);

}  // namespace music::cuda
