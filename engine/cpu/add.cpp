#include "engine/ops/add.h"

#include "engine/cpu/elementwise.h"

namespace music::cpu {

std::unique_ptr<Kernel> make_add(const KernelRequest& r) {
  require_f32(r, "add");
  const std::int64_t n = r.out[0].shape.elements();
  return function_kernel([n](const KernelArgs& args) {
    const float* a = args.in[0].f32();
    const float* b = args.in[1].f32();
    float* y = args.out[0].f32();
    for_elements(n, [=](std::int64_t i) { y[i] = a[i] + b[i]; });
  });
}

}  // namespace music::cpu
