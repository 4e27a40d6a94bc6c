#include "engine/ops/running_statistics.h"

#include "engine/cuda/launch.h"
#include "engine/ops/batch_norm_channel.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {
namespace {

__global__ void move_channels(const double* __restrict__ stats,
                              std::int64_t groups, std::int64_t channels,
                              double momentum, float* mean, float* var,
                              float* count) {
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t c = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
       c < channels; c += stride) {
    const float n = move_running(stats, groups, channels, c, momentum, mean[c],
                                 var[c]);
    if (c == 0) *count = n;
  }
}

}  // namespace

std::unique_ptr<Kernel> make_running_statistics(const KernelRequest& r,
                                                double momentum) {
  const std::int64_t groups = r.in[0].shape[0], c = r.in[1].shape[0];
  return function_kernel([=](const KernelArgs& args) {
    launch(move_channels, grid_stride(c), args.stream, args.in[0].as<double>(),
           groups, c, momentum, args.in[1].f32(), args.in[2].f32(),
           args.out[0].f32());
  });
}

}  // namespace music::cuda
