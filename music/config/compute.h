#pragma once
// Where a program computes and in what precision.

#include <string>

#include "engine/core/device.h"
#include "engine/core/dtype.h"

namespace music {

enum class DeviceChoice {
  kAuto,  // a GPU where there is one
  kCpu,
  kCuda,
};

enum class Precision {
  kAuto,  // F32 on the CPU, F16 on a GPU
  kF32,
  kF16,   // with a dynamic loss scale
  kBF16,
};

// How processes on GPUs exchange tensors.
enum class Exchange {
  kAuto,  // NCCL in a build that has it
  kNccl,  // from GPU to GPU; one each
  kHost,  // through host memory and MPI; they may share a GPU
};

struct Compute {
  Device device = Device::kCpu;
  DType dtype = DType::kF32;  // of activations and of the weights they meet
};

// Settles both and selects GPU `index` (a process's local rank). kUsage, in one
// line, when there is no such device, or it cannot compute so.
Compute choose_compute(DeviceChoice device, Precision precision, int index = 0);

// The same without looking for a device, for plans: auto is the CPU.
Compute planned_compute(DeviceChoice device, Precision precision);

// What choose_compute() settled on, as a setting.
Precision precision_of(const Compute& compute);

// "NVIDIA H200, fp16", "cpu, fp32"
std::string describe(const Compute& compute);

}  // namespace music
