#include "engine/ops/soft_cross_entropy.h"

#include "engine/cuda/block_reduce.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {
namespace {

// A block a row. d may be z: a thread has read an element for the last time
// when it writes it.
__global__ void soft_cross_entropy(const float* logits, const float* targets,
                                   int k, float inverse, double weight,
                                   double* loss, float* dlogits) {
  const std::int64_t at = std::int64_t{blockIdx.x} * k;
  const float *z = logits + at, *t = targets + at;
  const int first = static_cast<int>(threadIdx.x);
  const int step = static_cast<int>(blockDim.x);
  float top = -INFINITY;
  for (int i = first; i < k; i += step) top = z[i] > top ? z[i] : top;
  top = block_max_everywhere(top);
  double sum = 0, mass = 0, below = 0;  // of the t, of t (top - z)
  for (int i = first; i < k; i += step) {
    const float depth = (z[i] - top) * inverse;
    mass += static_cast<double>(t[i]);
    below -= static_cast<double>(t[i]) * static_cast<double>(depth);
    sum += static_cast<double>(expf(depth));
  }
  sum = block_sum_everywhere(sum);
  mass = block_sum_everywhere(mass);
  below = block_sum_everywhere(below);
  const float factor = static_cast<float>(mass / sum);
  const float outer = static_cast<float>(weight * static_cast<double>(inverse));
  for (int i = first; i < k; i += step)
    dlogits[at + i] = (expf((z[i] - top) * inverse) * factor - t[i]) * outer;
  if (first == 0) loss[blockIdx.x] = weight * (mass * log(sum) + below);
}

}  // namespace

std::unique_ptr<Kernel> make_soft_cross_entropy(const KernelRequest& r,
                                                SoftCrossEntropySpec spec) {
  const std::int64_t m = r.in[0].shape[0];
  const int k = static_cast<int>(r.in[0].shape[1]);
  return function_kernel(
      static_cast<std::size_t>(m) * sizeof(double),
      [=](const KernelArgs& args) {
        auto* loss = static_cast<double*>(args.workspace);
        launch(soft_cross_entropy, block_per_row(m, k), args.stream,
               args.in[0].f32(), args.in[1].f32(), k,
               static_cast<float>(1 / spec.temperature), spec.weight, loss,
               args.out[1].f32());
        launch(mean_of<float>, {}, args.stream, loss, m, 1.0,
               args.out[0].f32());
      });
}

}  // namespace music::cuda
