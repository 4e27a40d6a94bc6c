#pragma once
// Where tensors live and kernels run. A process uses one device.

namespace music {

enum class Device { kCpu, kCuda };

constexpr const char* name_of(Device device) {
  return device == Device::kCpu ? "cpu" : "cuda";
}

}  // namespace music
