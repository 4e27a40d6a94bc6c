#include "engine/ops/cross_entropy.h"

#include "engine/cuda/launch.h"
#include "engine/cuda/softmax.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {
namespace {

constexpr int kThreads = 256;

// A warp a row: loss[row], its part of the gradient of the mean loss, and
// whether its label's logit is the largest (hit may be null).
__global__ void cross_entropy(const float* logits, const std::int32_t* labels,
                              std::int64_t m, int k, double* loss,
                              float* dlogits, double* hit) {
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
    if (!hit) continue;
    bool larger = known;
    for (int i = lane; i < k && known; i += 32)
      larger = larger && (i == label || z[i] < z[label]);
    const bool largest = __all_sync(kAllLanes, larger);
    if (lane == 0) hit[row] = largest ? 1 : 0;
  }
}

}  // namespace

std::unique_ptr<Kernel> make_cross_entropy(const KernelRequest& r) {
  const std::int64_t m = r.in[0].shape[0];
  const int k = static_cast<int>(r.in[0].shape[1]);
  const bool correct = r.out.size() == 3;
  return function_kernel(
      static_cast<std::size_t>(correct ? 2 * m : m) * sizeof(double),
      [=](const KernelArgs& args) {
        auto* loss = static_cast<double*>(args.workspace);
        double* hit = correct ? loss + m : nullptr;
        launch(cross_entropy, grid_stride(m * 32, kThreads), args.stream,
               args.in[0].f32(), args.in[1].as<std::int32_t>(), m, k, loss,
               args.out[1].f32(), hit);
        launch(mean_of<float>, {}, args.stream, loss, m,
               static_cast<double>(m), args.out[0].f32());
        if (correct)
          launch(mean_of<float>, {}, args.stream, hit, m, 1.0,
                 args.out[2].f32());
      });
}

}  // namespace music::cuda
