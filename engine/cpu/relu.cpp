#include "engine/ops/relu.h"

#include "engine/cpu/elementwise.h"

namespace music::cpu {

std::unique_ptr<Kernel> make_relu_forward(const KernelRequest& r) {
  require_f32(r, "relu");
  const std::int64_t n = r.out[0].shape.elements();
  return function_kernel([n](const KernelArgs& args) {
    const float* x = args.in[0].f32();
    float* y = args.out[0].f32();
    for_elements(n, [=](std::int64_t i) { y[i] = x[i] < 0 ? 0.0f : x[i]; });
  });
}

std::unique_ptr<Kernel> make_relu_backward(const KernelRequest& r) {
  require_f32(r, "relu_backward");
  const std::int64_t n = r.out[0].shape.elements();
  return function_kernel([n](const KernelArgs& args) {
    const float* dy = args.in[0].f32();
    const float* y = args.in[1].f32();
    float* dx = args.out[0].f32();
    for_elements(n, [=](std::int64_t i) { dx[i] = y[i] > 0 ? dy[i] : 0.0f; });
  });
}

}  // namespace music::cpu
