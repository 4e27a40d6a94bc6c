#pragma once
// The two products of a linear head with feature rows, on the CPU.

#include <cstdint>

namespace music::cpu {

// out[rows, classes] = x[rows, width] . w[classes, width]^T
void head_logits(const float* x, std::int64_t rows, const float* w,
                 std::int64_t classes, std::int64_t width, float* out);

// out[classes, width] = r[rows, classes]^T . x[rows, width]
void head_gradient(const float* r, std::int64_t rows, std::int64_t classes,
                   const float* x, std::int64_t width, float* out);

}  // namespace music::cpu
