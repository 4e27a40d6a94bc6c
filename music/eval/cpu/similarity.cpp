#include "music/eval/cpu/similarity.h"

#include "engine/cpu/gemm.h"

namespace music::cpu {

void dot_products(const float* a, std::int64_t rows, const float* b,
                  std::int64_t n, std::int64_t width, float* out) {
  sgemm(false, true, rows, n, width, 1, a, width, b, width, 0, out, n);
}

}  // namespace music::cpu
