#pragma once
// The processes a test was started as. mpirun makes more than one of them;
// started alone, a test is a world of one.

#include <cstdlib>
#include <memory>

#include "dist/communicator.h"

namespace music::test {

inline dist::Communicator& world() {
  static const auto communicator = std::getenv("OMPI_COMM_WORLD_SIZE")
                                       ? dist::make_mpi_communicator()
                                       : dist::make_local_communicator();
  return *communicator;
}

}  // namespace music::test
