#pragma once
// Similarities of feature rows on the CPU.

#include <cstdint>

namespace music::cpu {

// out[rows, n] = a[rows, width] . b[n, width]^T
void dot_products(const float* a, std::int64_t rows, const float* b,
                  std::int64_t n, std::int64_t width, float* out);

}  // namespace music::cpu
