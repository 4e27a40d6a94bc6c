#include "engine/ops/cross_entropy.h"

#include <cmath>

#include "engine/cpu/elementwise.h"

namespace music::cpu {

std::unique_ptr<Kernel> make_cross_entropy(const KernelRequest& r) {
  const std::int64_t m = r.in[0].shape[0], k = r.in[0].shape[1];
  return function_kernel([m, k](const KernelArgs& args) {
    const float* logits = args.in[0].f32();
    const std::int32_t* labels = args.in[1].as<std::int32_t>();
    float* d = args.out[1].f32();
    const float share = 1.0f / static_cast<float>(m);
    double loss = 0;
    for (std::int64_t row = 0; row < m; ++row) {
      const float* z = logits + row * k;
      const std::int32_t label = labels[row];
      if (label < 0 || label >= k)
        throw error(ExitCode::kData,
                    "[cross_entropy] label {} in row {}, expected 0 to {}",
                    label, row, k - 1);
      float top = z[0];
      for (std::int64_t i = 1; i < k; ++i) top = std::max(top, z[i]);
      double sum = 0;
      for (std::int64_t i = 0; i < k; ++i) {
        const float e = std::exp(z[i] - top);
        d[row * k + i] = e;
        sum += e;
      }
      const float factor = static_cast<float>(share / sum);
      for (std::int64_t i = 0; i < k; ++i) d[row * k + i] *= factor;
      d[row * k + label] -= share;
      loss += std::log(sum) + top - z[label];
    }
    args.out[0].f32()[0] = static_cast<float>(loss / static_cast<double>(m));
  });
}

}  // namespace music::cpu
