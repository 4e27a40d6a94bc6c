#include "engine/ops/column_deviation.h"

#include "engine/cuda/launch.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {
namespace {

__global__ void deviations(const double* s, std::int64_t d, float* y) {
  const std::int64_t j = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (j < d) y[j] = deviation_of(s[j], s[d + j], s[2 * d]);
}

}  // namespace

std::unique_ptr<Kernel> make_column_deviation(const KernelRequest& r) {
  const std::int64_t d = r.out[0].shape[0];
  return function_kernel([d](const KernelArgs& args) {
    launch(deviations, {ceil_div(d, 128), 1, 1, 128}, args.stream,
           args.in[0].as<double>(), d, args.out[0].f32());
  });
}

}  // namespace music::cuda
