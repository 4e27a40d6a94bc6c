#include "engine/ops/l2_normalize.h"

#include "engine/cuda/block_reduce.h"
#include "engine/cuda/launch.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {
namespace {

// Calls fn(row, lane) for the rows of this warp.
template <typename F>
__device__ inline void for_rows(std::int64_t m, F fn) {
  const std::int64_t warps = std::int64_t{gridDim.x} * blockDim.x / 32;
  for (std::int64_t row =
           (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / 32;
       row < m; row += warps)
    fn(row, static_cast<int>(threadIdx.x % 32));
}

__device__ inline double warp_dot(const float* a, const float* b, int d,
                                  int lane) {
  double sum = 0;
  for (int i = lane; i < d; i += 32)
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return warp_sum(sum);
}

// y may be x: a lane has read an element for the last time when it writes it.
__global__ void normalize(const float* x, std::int64_t m, int d, float floor,
                          float* y, float* norm) {
  for_rows(m, [&](std::int64_t row, int lane) {
    const float* from = x + row * d;
    const float length = static_cast<float>(sqrt(warp_dot(from, from, d, lane)));
    const float factor = 1 / (length < floor ? floor : length);
    for (int i = lane; i < d; i += 32) y[row * d + i] = from[i] * factor;
    if (lane == 0) norm[row] = length;
  });
}

// dx may be dy, as above.
__global__ void normalize_backward(const float* dy, const float* y,
                                   const float* norm, std::int64_t m, int d,
                                   float floor, float* dx) {
  for_rows(m, [&](std::int64_t row, int lane) {
    const float *g = dy + row * d, *unit = y + row * d;
    const bool constant = norm[row] < floor;
    const double dot = warp_dot(g, unit, d, lane);
    const float along = constant ? 0.0f : static_cast<float>(dot);
    const float factor = 1 / (constant ? floor : norm[row]);
    for (int i = lane; i < d; i += 32)
      dx[row * d + i] = (g[i] - unit[i] * along) * factor;
  });
}

}  // namespace

std::unique_ptr<Kernel> make_l2_normalize_forward(const KernelRequest& r,
                                                  float floor) {
  const std::int64_t m = r.in[0].shape[0];
  const int d = static_cast<int>(r.in[0].shape[1]);
  return function_kernel([=](const KernelArgs& args) {
    launch(normalize, grid_stride(m * 32), args.stream, args.in[0].f32(), m, d,
           floor, args.out[0].f32(), args.out[1].f32());
  });
}

std::unique_ptr<Kernel> make_l2_normalize_backward(const KernelRequest& r,
                                                   float floor) {
  const std::int64_t m = r.out[0].shape[0];
  const int d = static_cast<int>(r.out[0].shape[1]);
  return function_kernel([=](const KernelArgs& args) {
    launch(normalize_backward, grid_stride(m * 32), args.stream,
           args.in[0].f32(), args.in[1].f32(), args.in[2].f32(), m, d, floor,
           args.out[0].f32());
  });
}

}  // namespace music::cuda
