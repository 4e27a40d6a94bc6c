#include "engine/ops/running_statistics.h"

#include "engine/ops/batch_norm_channel.h"
#include "engine/ops/function_kernel.h"

namespace music::cpu {

std::unique_ptr<Kernel> make_running_statistics(const KernelRequest& r,
                                                double momentum) {
  const std::int64_t groups = r.in[0].shape[0], c = r.in[1].shape[0];
  return function_kernel([=](const KernelArgs& args) {
    const double* stats = args.in[0].as<double>();
    float *mean = args.in[1].f32(), *var = args.in[2].f32();
    for (std::int64_t j = 0; j < c; ++j)
      args.out[0].f32()[0] = move_running(stats, groups, c, j, momentum,
                                          mean[j], var[j]);
  });
}

}  // namespace music::cpu
