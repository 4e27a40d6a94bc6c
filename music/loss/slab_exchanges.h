#pragma once
// What a product of two views, M = A^T B, exchanges where processes share it by
// slabs of columns (cpu::TileSlabs and its namesake on a GPU): told to a plan.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dist/timetable.h"

namespace music {

struct SlabExchanges {
  std::vector<std::int64_t> slabs;  // column_slabs(): of each rank, and D
  std::int64_t n = 0, samples = 0;  // of this process, of all
  int rank = 0;
  std::int64_t panel = 0;  // units of A that go round at a time
  std::size_t code = 4;    // bytes of an element of A and B
  // Which gradients come back, in fp32.
  bool of_a = true, of_b = true;
};

// share: of its node's time that the product takes.
void tell(const SlabExchanges& slabs, dist::Timetable& timetable,
          double share = 1);

}  // namespace music
