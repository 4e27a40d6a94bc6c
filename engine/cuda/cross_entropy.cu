#include "engine/ops/cross_entropy.h"

#include "engine/cuda/launch.h"
#include "engine/cuda/softmax.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {
namespace {

constexpr int kThreads = 256;

// A warp a row: loss[row], and its part of the gradient of the mean loss.
__global__ void cross_entropy(const float* logits, const std::int32_t* labels,
                              std::int64_t m, int k, double* loss,
                              float* dlogits) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const float share = 1.0f / static_cast<float>(m);
  const std::int64_t warps = std::int64_t{gridDim.x} * blockDim.x / 32;
  for (std::int64_t row =
           (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / 32;
       row < m; row += warps) {
    const float* z = logits + row * k;
    const int label = labels[row];
    auto e = warp_exponentials<double>(z, k, 1);
    const bool known = label >= 0 && label < k;
    if (!known) e.sum = NAN;
    const float factor = static_cast<float>(share / e.sum);
    for (int i = lane; i < k; i += 32)
      dlogits[row * k + i] =
          expf(z[i] - e.top) * factor - (i == label ? share : 0.0f);
    if (lane == 0)
      loss[row] = log(e.sum) + static_cast<double>(e.top) -
                  static_cast<double>(known ? z[label] : 0.0f);
  }
}

}  // namespace

std::unique_ptr<Kernel> make_cross_entropy(const KernelRequest& r) {
  const std::int64_t m = r.in[0].shape[0];
  const int k = static_cast<int>(r.in[0].shape[1]);
  return function_kernel(
      static_cast<std::size_t>(m) * sizeof(double),
      [=](const KernelArgs& args) {
        auto* loss = static_cast<double*>(args.workspace);
        launch(cross_entropy, grid_stride(m * 32, kThreads), args.stream,
               args.in[0].f32(), args.in[1].as<std::int32_t>(), m, k, loss,
               args.out[1].f32());
        launch(mean_of<float>, {}, args.stream, loss, m,
               static_cast<double>(m), args.out[0].f32());
      });
}

}  // namespace music::cuda
