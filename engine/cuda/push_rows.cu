#include "engine/ops/push_rows.h"

#include <cmath>

#include "engine/cuda/launch.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {
namespace {

__device__ inline bool inside(float position, std::int64_t k) {
  return position >= 0 && position < static_cast<float>(k);
}

__global__ void write_rows(float* queue, const float* position,
                           const float* rows, std::int64_t k, std::int64_t m,
                           std::int64_t d) {
  if (!inside(*position, k)) return;
  const auto at = static_cast<std::int64_t>(*position);
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
       i < m * d; i += stride) {
    const std::int64_t to = at * d + i;
    queue[to < k * d ? to : to - k * d] = rows[i];
  }
}

// Behind write_rows, whose blocks all read the position.
__global__ void advance(float* position, std::int64_t k, std::int64_t m,
                        float* after) {
  if (threadIdx.x != 0) return;
  *position = inside(*position, k)
                  ? static_cast<float>(
                        (static_cast<std::int64_t>(*position) + m) % k)
                  : NAN;
  *after = *position;
}

}  // namespace

std::unique_ptr<Kernel> make_push_rows(const KernelRequest& r) {
  const std::int64_t k = r.in[0].shape[0], d = r.in[0].shape[1];
  const std::int64_t m = r.in[2].shape[0];
  return function_kernel([=](const KernelArgs& args) {
    launch(write_rows, grid_stride(m * d), args.stream, args.in[0].f32(),
           args.in[1].f32(), args.in[2].f32(), k, m, d);
    launch(advance, {1, 1, 1, 32}, args.stream, args.in[1].f32(), k, m,
           args.out[0].f32());
  });
}

}  // namespace music::cuda
