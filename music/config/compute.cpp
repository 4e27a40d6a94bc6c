#include "music/config/compute.h"

#include "engine/core/device_runtime.h"
#include "engine/core/error.h"

namespace music {

Compute choose_compute(DeviceChoice device, Precision precision, int index) {
  Compute c;
  if (device == DeviceChoice::kCuda ||
      (device == DeviceChoice::kAuto && cuda::device_count() > 0))
    c.device = Device::kCuda;
  if (c.device == Device::kCpu) {
    if (precision != Precision::kAuto && precision != Precision::kF32)
      throw error(ExitCode::kUsage,
                  "[compute] the CPU computes in fp32: expected --precision "
                  "fp32, or a GPU ({})", cuda::why_no_device());
    return c;
  }
  cuda::select_device(index);
  const cuda::DeviceInfo info = cuda::device_info();
  switch (precision) {
    case Precision::kF32: break;
    case Precision::kAuto:
    case Precision::kF16: c.dtype = DType::kF16; break;
    case Precision::kBF16:
      if (info.major < 8)
        throw error(ExitCode::kUsage,
                    "[compute] bf16 needs compute capability 8.0, {} has "
                    "{}.{}: use --precision fp16", info.name, info.major,
                    info.minor);
      c.dtype = DType::kBF16;
      break;
  }
  return c;
}

Compute planned_compute(DeviceChoice device, Precision precision) {
  if (device != DeviceChoice::kCuda)
    return choose_compute(DeviceChoice::kCpu, precision);
  return {Device::kCuda, precision == Precision::kF32    ? DType::kF32
                         : precision == Precision::kBF16 ? DType::kBF16
                                                         : DType::kF16};
}

Precision precision_of(const Compute& compute) {
  return compute.dtype == DType::kF16    ? Precision::kF16
         : compute.dtype == DType::kBF16 ? Precision::kBF16
                                         : Precision::kF32;
}

std::string describe(const Compute& c) {
  return fmt::format("{}, {}",
                     c.device == Device::kCpu ? std::string("cpu")
                                              : cuda::device_info().name,
                     c.dtype == DType::kF16    ? "fp16"
                     : c.dtype == DType::kBF16 ? "bf16"
                                               : "fp32");
}

}  // namespace music
