#include "engine/ops/inner.h"

#include "engine/cpu/dense_rows.h"

namespace music::cpu {

std::unique_ptr<Kernel> make_inner(const KernelRequest& r) {
  require_f32(r, "inner");
  const std::int64_t n = r.in[0].shape.elements();
  const std::int64_t blocks = (n + kElementGrain - 1) / kElementGrain;
  return function_kernel(
      static_cast<std::size_t>(blocks) * sizeof(double),
      [n, blocks](const KernelArgs& args) {
        const float *a = args.in[0].f32(), *b = args.in[1].f32();
        auto* partial = static_cast<double*>(args.workspace);
        parallel_ranges(blocks, 1, [&](std::int64_t first, std::int64_t last) {
          for (std::int64_t i = first; i < last; ++i) {
            const std::int64_t at = i * kElementGrain;
            partial[i] = dot(a + at, b + at, std::min(n - at, kElementGrain));
          }
        });
        double sum = 0;
        for (std::int64_t i = 0; i < blocks; ++i) sum += partial[i];
        args.out[0].f32()[0] = static_cast<float>(sum);
      });
}

std::unique_ptr<Kernel> make_row_inner_forward(const KernelRequest& r) {
  require_f32(r, "row_inner");
  const std::int64_t m = r.in[0].shape[0], d = r.in[0].shape[1];
  return function_kernel([m, d](const KernelArgs& args) {
    const float *a = args.in[0].f32(), *b = args.in[1].f32();
    float* y = args.out[0].f32();
    for_dense_rows(m, d, [=](std::int64_t row) {
      y[row] = static_cast<float>(dot(a + row * d, b + row * d, d));
    });
  });
}

std::unique_ptr<Kernel> make_row_inner_backward(const KernelRequest& r) {
  require_f32(r, "row_inner_backward");
  const std::int64_t m = r.out[0].shape[0], d = r.out[0].shape[1];
  return function_kernel([m, d](const KernelArgs& args) {
    const float *dy = args.in[0].f32(), *b = args.in[1].f32();
    float* da = args.out[0].f32();
    for_dense_rows(m, d, [=](std::int64_t row) {
#pragma omp simd
      for (std::int64_t i = row * d; i < (row + 1) * d; ++i)
        da[i] = dy[row] * b[i];
    });
  });
}

}  // namespace music::cpu
