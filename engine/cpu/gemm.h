#pragma once
// Single-precision matrix product for the CPU (oneDNN's).

#include <cstdint>

namespace music::cpu {

// C[M,N] = alpha op(A)[M,K] op(B)[K,N] + beta C, row-major with leading
// dimensions. Threaded by OpenMP; serial inside a parallel region.
void sgemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
           std::int64_t k, float alpha, const float* a, std::int64_t lda,
           const float* b, std::int64_t ldb, float beta, float* c,
           std::int64_t ldc);

}  // namespace music::cpu
