#include "engine/ops/l2_normalize.h"

#include <cmath>

#include "engine/cpu/dense_rows.h"

namespace music::cpu {

std::unique_ptr<Kernel> make_l2_normalize_forward(const KernelRequest& r,
                                                  float floor) {
  require_f32(r, "l2_normalize");
  const std::int64_t m = r.in[0].shape[0], d = r.in[0].shape[1];
  return function_kernel([=](const KernelArgs& args) {
    const float* x = args.in[0].f32();
    float *y = args.out[0].f32(), *norm = args.out[1].f32();
    for_dense_rows(m, d, [=](std::int64_t row) {
      const float* from = x + row * d;
      float* to = y + row * d;
      norm[row] = static_cast<float>(std::sqrt(dot(from, from, d)));
      const float factor = 1 / (norm[row] < floor ? floor : norm[row]);
#pragma omp simd
      for (std::int64_t i = 0; i < d; ++i) to[i] = from[i] * factor;
    });
  });
}

std::unique_ptr<Kernel> make_l2_normalize_backward(const KernelRequest& r,
                                                   float floor) {
  require_f32(r, "l2_normalize_backward");
  const std::int64_t m = r.out[0].shape[0], d = r.out[0].shape[1];
  return function_kernel([=](const KernelArgs& args) {
    const float *dy = args.in[0].f32(), *y = args.in[1].f32();
    const float* norm = args.in[2].f32();
    float* dx = args.out[0].f32();
    for_dense_rows(m, d, [=](std::int64_t row) {
      const float *g = dy + row * d, *unit = y + row * d;
      float* to = dx + row * d;
      const bool constant = norm[row] < floor;
      const float along = constant ? 0 : static_cast<float>(dot(g, unit, d));
      const float factor = 1 / (constant ? floor : norm[row]);
#pragma omp simd
      for (std::int64_t i = 0; i < d; ++i)
        to[i] = (g[i] - unit[i] * along) * factor;
    });
  });
}

}  // namespace music::cpu
