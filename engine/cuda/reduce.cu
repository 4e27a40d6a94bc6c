#include "engine/ops/reduce.h"

#include "engine/cuda/block_reduce.h"
#include "engine/cuda/elementwise.h"

namespace music::cuda {
namespace {

// The sum of what block b meets in strides of the grid -> partial[b].
template <typename T>
__global__ void sum_blocks(const T* x, std::int64_t n, double* partial) {
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x * kPack;
  double sum = 0;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x) *
                        kPack;
       i < n; i += stride) {
    float v[kPack];
    load_tail(x, i, n, v);
#pragma unroll
    for (int j = 0; j < kPack; ++j) sum += static_cast<double>(v[j]);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

struct Fill {
  const float* value;
  float factor;
  __device__ float operator()() const { return __ldg(value) * factor; }
};

}  // namespace

std::unique_ptr<Kernel> make_reduce_forward(const KernelRequest& r,
                                            ReduceKind kind) {
  const std::int64_t n = r.in[0].shape.elements();
  const LaunchShape grid = grid_stride(ceil_div(n, kPack));
  const double divisor = kind == ReduceKind::kMean ? static_cast<double>(n) : 1;
  std::unique_ptr<Kernel> kernel;
  with_real_type(r.in[0].dtype, "reduce", [&]<typename T>(T) {
    kernel = function_kernel(
        static_cast<std::size_t>(grid.blocks_x) * sizeof(double),
        [=](const KernelArgs& args) {
          auto* partial = static_cast<double*>(args.workspace);
          launch(sum_blocks<T>, grid, args.stream,
                 static_cast<const T*>(args.in[0].data), n, partial);
          launch(mean_of<float>, {}, args.stream, partial, grid.blocks_x,
                 divisor, args.out[0].f32());
        });
  });
  return kernel;
}

std::unique_ptr<Kernel> make_reduce_backward(const KernelRequest& r,
                                             ReduceKind kind) {
  const float factor =
      kind == ReduceKind::kMean
          ? 1.0f / static_cast<float>(r.out[0].shape.elements())
          : 1.0f;
  return elementwise_kernel<0>(
      r, "reduce_backward", [factor](const KernelArgs& args) {
        return Fill{args.in[0].f32(), factor};
      });
}

}  // namespace music::cuda
