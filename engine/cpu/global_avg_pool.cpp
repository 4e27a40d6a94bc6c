#include "engine/ops/global_avg_pool.h"

#include "engine/cpu/elementwise.h"

namespace music::cpu {

std::unique_ptr<Kernel> make_global_avg_pool_forward(const KernelRequest& r) {
  require_f32(r, "global_avg_pool");
  const Shape xs = r.in[0].shape;
  const std::int64_t n = xs[0], area = xs[1] * xs[2], c = xs[3];
  return function_kernel([=](const KernelArgs& args) {
    const float* x = args.in[0].f32();
    float* y = args.out[0].f32();
    const float factor = 1.0f / static_cast<float>(area);
    parallel_ranges(n, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        float* row = y + i * c;
        std::fill_n(row, c, 0.0f);
        for (std::int64_t p = 0; p < area; ++p)
#pragma omp simd
          for (std::int64_t j = 0; j < c; ++j) row[j] += x[(i * area + p) * c + j];
#pragma omp simd
        for (std::int64_t j = 0; j < c; ++j) row[j] *= factor;
      }
    });
  });
}

std::unique_ptr<Kernel> make_global_avg_pool_backward(const KernelRequest& r) {
  require_f32(r, "global_avg_pool_backward");
  const Shape xs = r.out[0].shape;
  const std::int64_t n = xs[0], area = xs[1] * xs[2], c = xs[3];
  return function_kernel([=](const KernelArgs& args) {
    const float* dy = args.in[0].f32();
    float* dx = args.out[0].f32();
    const float factor = 1.0f / static_cast<float>(area);
    parallel_ranges(n, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        for (std::int64_t p = 0; p < area; ++p)
#pragma omp simd
          for (std::int64_t j = 0; j < c; ++j)
            dx[(i * area + p) * c + j] = dy[i * c + j] * factor;
    });
  });
}

}  // namespace music::cpu
