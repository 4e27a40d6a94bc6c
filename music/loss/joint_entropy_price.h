#pragma once
// What the loss costs one of the processes that share it, told by sizes alone.

#include <cstddef>

#include "dist/timetable.h"
#include "engine/core/device.h"
#include "engine/core/dtype.h"
#include "music/loss/joint_entropy_spec.h"
#include "music/loss/segments.h"

namespace music {

// A process's part of a joint_entropy node.
struct JointEntropyShare {
  Segments segments;
  JointEntropySpec spec;
  std::int64_t n = 0, samples = 0;  // of this process, of all
  int rank = 0, ranks = 1;
  Device device = Device::kCpu;
  DType codes = DType::kF32;
};

// Exchanges as cpu::JointEntropy makes them with cpu::TileSlabs, or their
// namesakes on a GPU. ranks > 1.
void joint_entropy_exchanges(const JointEntropyShare& share,
                             dist::Timetable& timetable);

// On a GPU, from the sizes of its parts: codes of both views and G; of several
// processes codes and gradient of the slab, what is exchanged, two panels.
std::size_t gpu_joint_entropy_workspace(const JointEntropyShare& share);

}  // namespace music
