#include "engine/ops/scale.h"

#include "engine/cpu/elementwise.h"

namespace music::cpu {

std::unique_ptr<Kernel> make_scale(const KernelRequest& r) {
  require_f32(r, "scale");
  const std::int64_t n = r.out[0].shape.elements();
  return function_kernel([n](const KernelArgs& args) {
    const float* x = args.in[0].f32();
    const float s = args.in[1].f32()[0];
    float* y = args.out[0].f32();
    if (x == y && s == 1.0f) return;  // in place by 1: fp32 without loss scale
    for_elements(n, [=](std::int64_t i) { y[i] = x[i] * s; });
  });
}

}  // namespace music::cpu
