#pragma once
// Elements of a tensor of any floating-point type as double.

#include <cstdint>
#include <cstring>

#include "engine/core/dtype.h"
#include "engine/core/half.h"
#include "tests/emulator/executor.h"

namespace music::emulator {

inline double real(const void* data, DType dtype, std::int64_t i) {
  switch (dtype) {
    case DType::kF16:
      return static_cast<double>(to_float(static_cast<const Half*>(data)[i]));
    case DType::kBF16:
      return static_cast<double>(
          to_float(static_cast<const BFloat16*>(data)[i]));
    default: {
      // Where a test asks for what is refused, not aligned.
      float f;
      std::memcpy(&f, static_cast<const float*>(data) + i, sizeof f);
      return static_cast<double>(f);
    }
  }
}

inline void set_real(void* data, DType dtype, std::int64_t i, double v) {
  const float f = static_cast<float>(v);
  switch (dtype) {
    case DType::kF16: static_cast<Half*>(data)[i] = to_half(f); break;
    case DType::kBF16: static_cast<BFloat16*>(data)[i] = to_bfloat16(f); break;
    default: std::memcpy(static_cast<float*>(data) + i, &f, sizeof f); break;
  }
}

}  // namespace music::emulator
