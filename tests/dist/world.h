#pragma once
// The processes a test was started as. mpirun makes more than one of them;
// started alone, a test is a world of one.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "dist/communicator.h"

namespace music::test {

inline dist::Communicator& world() {
  static const auto communicator = std::getenv("OMPI_COMM_WORLD_SIZE")
                                       ? dist::make_mpi_communicator()
                                       : dist::make_local_communicator();
  return *communicator;
}

// The rows of this rank's samples: every size-th of [N, units].
template <typename T>
std::vector<T> shard_rows(const std::vector<T>& rows, std::int64_t units) {
  std::vector<T> mine;
  const auto stride = static_cast<std::ptrdiff_t>(units);
  const auto count = static_cast<std::ptrdiff_t>(rows.size()) / stride;
  for (std::ptrdiff_t i = world().rank(); i < count; i += world().size())
    mine.insert(mine.end(), rows.begin() + i * stride,
                rows.begin() + (i + 1) * stride);
  return mine;
}

}  // namespace music::test
