#include "engine/ops/sinkhorn.h"

#include <cmath>

#include "engine/cpu/dense_rows.h"

namespace music::cpu {

std::unique_ptr<Kernel> make_sinkhorn_exponentials(const KernelRequest& r,
                                                   double epsilon) {
  require_f32(r, "sinkhorn");
  const std::int64_t n = r.out[0].shape.elements();
  const float inverse = static_cast<float>(1 / epsilon);
  return function_kernel([n, inverse](const KernelArgs& args) {
    const float* s = args.in[0].f32();
    float* q = args.out[0].f32();
    for_elements(n, [=](std::int64_t i) {
      q[i] = std::exp((s[i] - 1) * inverse);
    });
  });
}

std::unique_ptr<Kernel> make_sinkhorn_columns(const KernelRequest& r) {
  // Blocks of rows, whatever the number of threads.
  constexpr std::int64_t kRows = 64;
  const std::int64_t b = r.in[0].shape[0], k = r.in[0].shape[1];
  const std::int64_t blocks = (b + kRows - 1) / kRows;
  return function_kernel(
      static_cast<std::size_t>(blocks * k) * sizeof(double),
      [=](const KernelArgs& args) {
        const float* q = args.in[0].f32();
        auto* partial = static_cast<double*>(args.workspace);
        parallel_ranges(blocks, 1, [&](std::int64_t first, std::int64_t last) {
          for (std::int64_t i = first; i < last; ++i) {
            double* sums = partial + i * k;
            std::fill_n(sums, k, 0.0);
            for (std::int64_t row = i * kRows;
                 row < std::min(b, (i + 1) * kRows); ++row)
#pragma omp simd
              for (std::int64_t j = 0; j < k; ++j) sums[j] += q[row * k + j];
          }
        });
        double* sums = args.out[0].as<double>();
        std::fill_n(sums, k, 0.0);
        for (std::int64_t i = 0; i < blocks; ++i)
#pragma omp simd
          for (std::int64_t j = 0; j < k; ++j) sums[j] += partial[i * k + j];
      });
}

std::unique_ptr<Kernel> make_sinkhorn_rows(const KernelRequest& r) {
  const std::int64_t b = r.out[0].shape[0], k = r.out[0].shape[1];
  return function_kernel([=](const KernelArgs& args) {
    const float* from = args.in[0].f32();
    const double* sums = args.in[1].as<double>();
    float* to = args.out[0].f32();
    for_dense_rows(b, k, [=](std::int64_t row) {
      const float* q = from + row * k;
      float* y = to + row * k;
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::int64_t j = 0; j < k; ++j) {
        y[j] = sums[j] == 0 ? 0 : q[j] / static_cast<float>(sums[j]);
        sum += y[j];
      }
      const float factor = sum == 0 ? 0 : static_cast<float>(1 / sum);
#pragma omp simd
      for (std::int64_t j = 0; j < k; ++j) y[j] *= factor;
    });
  });
}

}  // namespace music::cpu
