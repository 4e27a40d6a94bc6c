#include "engine/ops/soft_cross_entropy.h"

#include <cmath>

#include "engine/cpu/elementwise.h"

namespace music::cpu {

std::unique_ptr<Kernel> make_soft_cross_entropy(const KernelRequest& r,
                                                SoftCrossEntropySpec spec) {
  require_f32(r, "soft_cross_entropy");
  const std::int64_t m = r.in[0].shape[0], k = r.in[0].shape[1];
  const float inverse = static_cast<float>(1 / spec.temperature);
  // d may be z.
  const auto row = [=](const float* z, const float* t, float* d) {
    float top = z[0];
    for (std::int64_t i = 1; i < k; ++i) top = std::max(top, z[i]);
    double sum = 0, mass = 0, below = 0;  // of the t, of t (top - z)
#pragma omp simd reduction(+ : sum, mass, below)
    for (std::int64_t i = 0; i < k; ++i) {
      const float depth = (z[i] - top) * inverse;
      mass += t[i];
      below -= static_cast<double>(t[i]) * depth;
      d[i] = std::exp(depth);
      sum += d[i];
    }
    const float factor = static_cast<float>(mass / sum);
    const float outer = static_cast<float>(spec.weight / spec.temperature);
#pragma omp simd
    for (std::int64_t i = 0; i < k; ++i) d[i] = (d[i] * factor - t[i]) * outer;
    return spec.weight * (mass * std::log(sum) + below);
  };
  return function_kernel(
      static_cast<std::size_t>(m) * sizeof(double),
      [=](const KernelArgs& args) {
        const float *z = args.in[0].f32(), *t = args.in[1].f32();
        float* d = args.out[1].f32();
        auto* loss = static_cast<double*>(args.workspace);
        parallel_ranges(m, 1, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i)
            loss[i] = row(z + i * k, t + i * k, d + i * k);
        });
        double sum = 0;
        for (std::int64_t i = 0; i < m; ++i) sum += loss[i];
        args.out[0].f32()[0] = static_cast<float>(sum);
      });
}

}  // namespace music::cpu
