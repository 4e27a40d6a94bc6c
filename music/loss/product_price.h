#pragma once
// What a product of two views, M = A^T B [D,D], costs one of the processes that
// share it by slabs of columns, told by sizes alone: cpu::TilePanel and
// cpu::TileSlabs, or their namesakes on a GPU.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dist/timetable.h"
#include "engine/core/device.h"
#include "engine/core/dtype.h"
#include "engine/graph/graph.h"
#include "music/loss/gradients.h"

namespace music {

// A process's part of it.
struct ProductShare {
  std::vector<std::int64_t> slabs;  // column_slabs(): of each rank, and D
  std::int64_t n = 0, samples = 0;  // of this process, of all
  int rank = 0;
  Device device = Device::kCpu;
  DType codes = DType::kF32;                  // elements of A and B
  Gradients gradients = Gradients::kBoth;     // which come back, in fp32

  std::int64_t units() const { return slabs.back(); }
  int ranks() const { return static_cast<int>(slabs.size()) - 1; }
};

// Elements from row to row of a matrix of so many units: a GPU's are padded to a
// vector.
std::int64_t row_elements(const ProductShare& product, std::int64_t units);

// Products of matrices: M, and one a gradient. bytes: G, written and read.
NodeWork product_work(const ProductShare& product);

// Units of A that go round at a time.
std::int64_t panel_units(const ProductShare& product);

// Exchanges, of several processes. share: of its node's time that it takes.
void tell(const ProductShare& product, dist::Timetable& timetable,
          double share = 1);

// On a GPU, but for what matrix products take themselves.
std::size_t gpu_workspace(const ProductShare& product);

}  // namespace music
