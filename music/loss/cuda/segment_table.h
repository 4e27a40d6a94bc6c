#pragma once
// The segments of a code in device memory, uploaded once, as kernels read them.

#include <cstdint>
#include <vector>

#include "engine/core/buffer.h"
#include "music/loss/segments.h"

namespace music::cuda {

// Copied into kernels' arguments; the pointers are device memory.
struct SegmentTable {
  std::int64_t units = 0;  // D
  int count = 0;           // S
  int largest = 0;         // units of the largest segment
  const std::int32_t* begin = nullptr;   // [S + 1]
  const double* log_size = nullptr;      // [S], log of a segment's units
  const std::int32_t* segment = nullptr;  // [D], of the unit
  const float* size = nullptr;           // [D], units of the unit's segment
  const float* blocks = nullptr;         // [S,S], weights; null: 1
};

class DeviceSegments {
 public:
  // blocks: JointEntropySpec's.
  DeviceSegments(const Segments& segments, const std::vector<double>& blocks);
  const SegmentTable& table() const { return table_; }

 private:
  SegmentTable table_;
  Buffer begin_, log_size_, segment_, size_, blocks_;
};

}  // namespace music::cuda
