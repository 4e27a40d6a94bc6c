#include "engine/ops/column_deviation.h"

#include "engine/cpu/elementwise.h"

namespace music::cpu {

std::unique_ptr<Kernel> make_column_deviation(const KernelRequest& r) {
  const std::int64_t d = r.out[0].shape[0];
  return function_kernel([d](const KernelArgs& args) {
    const double* s = args.in[0].as<double>();
    float* y = args.out[0].f32();
    for_elements(d, [=](std::int64_t j) {
      y[j] = deviation_of(s[j], s[d + j], s[2 * d]);
    });
  });
}

}  // namespace music::cpu
