#include "music/eval/cpu/head_products.h"

#include "engine/cpu/gemm.h"

namespace music::cpu {

void head_logits(const float* x, std::int64_t rows, const float* w,
                 std::int64_t classes, std::int64_t width, float* out) {
  sgemm(false, true, rows, classes, width, 1, x, width, w, width, 0, out,
        classes);
}

void head_gradient(const float* r, std::int64_t rows, std::int64_t classes,
                   const float* x, std::int64_t width, float* out) {
  sgemm(true, false, classes, width, rows, 1, r, classes, x, width, 0, out,
        width);
}

}  // namespace music::cpu
