#include "engine/ops/top_hits.h"

#include "engine/ops/function_kernel.h"

namespace music::cpu {

std::unique_ptr<Kernel> make_top_hits(const KernelRequest& r, int most) {
  const std::int64_t m = r.in[0].shape[0], k = r.in[0].shape[1];
  return function_kernel([m, k, most](const KernelArgs& args) {
    const float* logits = args.in[0].f32();
    const std::int32_t* labels = args.in[1].as<std::int32_t>();
    std::int64_t hits = 0;
#pragma omp parallel for schedule(static) reduction(+ : hits)
    for (std::int64_t row = 0; row < m; ++row) {
      const float* z = logits + row * k;
      const std::int64_t label = labels[row];
      if (label < 0 || label >= k || z[label] != z[label]) continue;
      std::int64_t before = 0;
      for (std::int64_t i = 0; i < k; ++i)
        before += z[i] >= z[label] && i != label;
      hits += before < most;
    }
    args.out[0].f32()[0] = static_cast<float>(hits);
  });
}

}  // namespace music::cpu
