#include "engine/ops/top_hits.h"

#include "engine/cuda/block_reduce.h"
#include "engine/cuda/launch.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {
namespace {

constexpr int kThreads = 256;

// One block: a warp a row.
__global__ void __launch_bounds__(kThreads)
    count_hits(const float* logits, const std::int32_t* labels, std::int64_t m,
               int k, int most, float* out) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  double hits = 0;
  for (std::int64_t row = threadIdx.x / 32; row < m; row += kThreads / 32) {
    const float* z = logits + row * k;
    const int label = labels[row];
    const bool known = label >= 0 && label < k;
    const float own = known ? z[label] : NAN;
    float before = 0;
    for (int i = lane; i < k; i += 32)
      before += z[i] >= own && i != label ? 1.0f : 0.0f;
    before = warp_sum(before);
    if (lane == 0 && own == own && before < static_cast<float>(most)) ++hits;
  }
  hits = block_sum(hits);
  if (threadIdx.x == 0) out[0] = static_cast<float>(hits);
}

}  // namespace

std::unique_ptr<Kernel> make_top_hits(const KernelRequest& r, int most) {
  const std::int64_t m = r.in[0].shape[0];
  const int k = static_cast<int>(r.in[0].shape[1]);
  return function_kernel([=](const KernelArgs& args) {
    launch(count_hits, {1, 1, 1, kThreads}, args.stream, args.in[0].f32(),
           args.in[1].as<std::int32_t>(), m, k, most, args.out[0].f32());
  });
}

}  // namespace music::cuda
