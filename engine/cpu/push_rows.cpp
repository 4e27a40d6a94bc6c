#include "engine/ops/push_rows.h"

#include <algorithm>

#include "engine/ops/function_kernel.h"

namespace music::cpu {

std::unique_ptr<Kernel> make_push_rows(const KernelRequest& r) {
  const std::int64_t k = r.in[0].shape[0], d = r.in[0].shape[1];
  const std::int64_t m = r.in[2].shape[0];
  return function_kernel([=](const KernelArgs& args) {
    float *queue = args.in[0].f32(), *position = args.in[1].f32();
    const float* rows = args.in[2].f32();
    MUSIC_CHECK(*position >= 0 && *position < static_cast<float>(k),
                "[push_rows] position {}, expected 0 to {}", *position, k - 1);
    const auto at = static_cast<std::int64_t>(*position);
    const std::int64_t head = std::min(m, k - at);  // before the end
    std::copy_n(rows, head * d, queue + at * d);
    std::copy_n(rows + head * d, (m - head) * d, queue);
    *position = static_cast<float>((at + m) % k);
    args.out[0].f32()[0] = *position;
  });
}

}  // namespace music::cpu
