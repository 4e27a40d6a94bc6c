#include "engine/ops/inner.h"

#include "engine/cuda/block_reduce.h"
#include "engine/cuda/elementwise.h"

namespace music::cuda {
namespace {

// The sum of what block b meets in strides of the grid -> partial[b].
__global__ void inner_blocks(const float* a, const float* b, std::int64_t n,
                             double* partial) {
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x * kPack;
  double sum = 0;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x) *
                        kPack;
       i < n; i += stride) {
    float v[kPack], w[kPack];
    load_tail(a, i, n, v);
    load_tail(b, i, n, w);
#pragma unroll
    for (int j = 0; j < kPack; ++j)
      sum += static_cast<double>(v[j]) * static_cast<double>(w[j]);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// A warp a row.
__global__ void inner_rows(const float* a, const float* b, std::int64_t m,
                           int d, float* y) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const std::int64_t warps = std::int64_t{gridDim.x} * blockDim.x / 32;
  for (std::int64_t row =
           (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / 32;
       row < m; row += warps) {
    double sum = 0;
    for (int i = lane; i < d; i += 32)
      sum += static_cast<double>(a[row * d + i]) *
             static_cast<double>(b[row * d + i]);
    sum = warp_sum(sum);
    if (lane == 0) y[row] = static_cast<float>(sum);
  }
}

// da may be b.
__global__ void scale_rows(const float* dy, const float* b, std::int64_t m,
                           int d, float* da) {
  for (std::int64_t row = blockIdx.x; row < m; row += gridDim.x) {
    const float factor = dy[row];
    for (int i = static_cast<int>(threadIdx.x); i < d;
         i += static_cast<int>(blockDim.x))
      da[row * d + i] = factor * b[row * d + i];
  }
}

}  // namespace

std::unique_ptr<Kernel> make_inner(const KernelRequest& r) {
  const std::int64_t n = r.in[0].shape.elements();
  const LaunchShape grid = grid_stride(ceil_div(n, kPack));
  return function_kernel(
      static_cast<std::size_t>(grid.blocks_x) * sizeof(double),
      [=](const KernelArgs& args) {
        auto* partial = static_cast<double*>(args.workspace);
        launch(inner_blocks, grid, args.stream, args.in[0].f32(),
               args.in[1].f32(), n, partial);
        launch(mean_of<float>, {}, args.stream, partial, grid.blocks_x, 1.0,
               args.out[0].f32());
      });
}

std::unique_ptr<Kernel> make_row_inner_forward(const KernelRequest& r) {
  const std::int64_t m = r.in[0].shape[0];
  const int d = static_cast<int>(r.in[0].shape[1]);
  return function_kernel([=](const KernelArgs& args) {
    launch(inner_rows, grid_stride(m * 32), args.stream, args.in[0].f32(),
           args.in[1].f32(), m, d, args.out[0].f32());
  });
}

std::unique_ptr<Kernel> make_row_inner_backward(const KernelRequest& r) {
  const std::int64_t m = r.out[0].shape[0];
  const int d = static_cast<int>(r.out[0].shape[1]);
  LaunchShape grid = block_per_row(m, d);
  grid.blocks_x = std::min<std::int64_t>(grid.blocks_x, MUSIC_MOST_BLOCKS);
  return function_kernel([=](const KernelArgs& args) {
    launch(scale_rows, grid, args.stream, args.in[0].f32(), args.in[1].f32(), m,
           d, args.out[0].f32());
  });
}

}  // namespace music::cuda
