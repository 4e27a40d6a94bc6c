#include "engine/ops/linear.h"

#include "engine/cuda/gemm_kernel.h"
#include "engine/cuda/widen.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {
namespace {

// ---- sums over the rows of a matrix
constexpr int kWarps = 8, kLanes = 32;
constexpr int kThreads = kWarps * kLanes;
constexpr int kColumns = kLanes * kPack;  // of a block

// Column sums of dy [m, n] over the rows of slab blockIdx.y -> sums[slab][n].
// A thread adds eight columns over every eighth row, the block then adds its
// warps: a fixed order. kAligned: rows start on 16 bytes.
template <typename T, bool kAligned>
__global__ void sum_rows(const T* dy, std::int64_t m, std::int64_t n,
                         std::int64_t slab_rows, float* sums) {
  MUSIC_SHARED(float, shared, kWarps * kColumns);
  const int warp = static_cast<int>(threadIdx.x) / kLanes;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const std::int64_t tile = std::int64_t{blockIdx.x} * kColumns;
  const std::int64_t column = tile + lane * kPack;
  const std::int64_t begin = std::int64_t{blockIdx.y} * slab_rows;
  const std::int64_t end = begin + slab_rows < m ? begin + slab_rows : m;
  float sum[kPack] = {};
  if (column < n)
    for (std::int64_t row = begin + warp; row < end; row += kWarps) {
      float v[kPack];
      const T* p = dy + row * n;
      if constexpr (kAligned) {
        load8(p + column, v);
      } else {
#pragma unroll
        for (int j = 0; j < kPack; ++j)
          v[j] = column + j < n ? to_real(p[column + j]) : 0.0f;
      }
#pragma unroll
      for (int j = 0; j < kPack; ++j) sum[j] += v[j];
    }
#pragma unroll
  for (int j = 0; j < kPack; ++j)
    shared[warp * kColumns + j * kLanes + lane] = sum[j];
  __syncthreads();
  // Warp j of this pass has column j of each lane's eight.
  float total = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) total += shared[w * kColumns + threadIdx.x];
  const std::int64_t to = tile + lane * kPack + warp;
  if (to < n) sums[std::int64_t{blockIdx.y} * n + to] = total;
}

__global__ void sum_slabs(const float* sums, std::int64_t slabs, std::int64_t n,
                          float* db) {
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
       i < n; i += stride) {
    float sum = 0;
    for (std::int64_t s = 0; s < slabs; ++s) sum += sums[s * n + i];
    db[i] = sum;
  }
}

}  // namespace

std::unique_ptr<Kernel> make_linear_forward(const KernelRequest& r) {
  const bool bias = r.in.size() == 3;
  GemmSpec spec;
  spec.m = r.out[0].shape[0], spec.n = r.out[0].shape[1];
  spec.k = r.in[0].shape[1];
  spec.lda = spec.ldb = spec.k, spec.ldc = spec.n;
  spec.transpose_b = true;
  spec.input = r.in[0].dtype, spec.output = r.out[0].dtype;
  if (!bias) return gemm_kernel(spec);

  // Of the result's type: widened first when that differs.
  spec.bias = true;
  const auto gemm = std::make_shared<const Gemm>(spec);
  const std::size_t inner = workspace_part(gemm->workspace_bytes());
  if (spec.input == spec.output)
    return function_kernel(inner, [gemm](const KernelArgs& args) {
      gemm->run(args.in[0].data, args.in[1].data, args.out[0].data,
                args.in[2].data, 1, 0, args.workspace, args.stream);
    });
  std::unique_ptr<Kernel> kernel;
  with_real_type(spec.input, "linear", [&]<typename T>(T) {
    kernel = function_kernel(
        inner + static_cast<std::size_t>(spec.n) * sizeof(float),
        [gemm, inner, n = spec.n](const KernelArgs& args) {
          auto* wide = reinterpret_cast<float*>(
              static_cast<std::byte*>(args.workspace) + inner);
          widen(static_cast<const T*>(args.in[2].data), wide, n, args.stream);
          gemm->run(args.in[0].data, args.in[1].data, args.out[0].data, wide, 1,
                    0, args.workspace, args.stream);
        });
  });
  return kernel;
}

std::unique_ptr<Kernel> make_linear_backward_data(const KernelRequest& r) {
  GemmSpec spec;  // dx [m,i] = dy [m,o] w [o,i]
  spec.m = r.out[0].shape[0], spec.n = r.out[0].shape[1];
  spec.k = r.in[0].shape[1];
  spec.lda = spec.k, spec.ldb = spec.ldc = spec.n;
  spec.input = r.in[0].dtype, spec.output = r.out[0].dtype;
  return gemm_kernel(spec);
}

std::unique_ptr<Kernel> make_linear_backward_weights(const KernelRequest& r) {
  GemmSpec spec;  // dw [o,i] = dy^T [o,m] x [m,i]
  spec.m = r.out[0].shape[0], spec.n = r.out[0].shape[1];
  spec.k = r.in[0].shape[0];
  spec.lda = spec.m, spec.ldb = spec.ldc = spec.n;
  spec.transpose_a = true;
  spec.input = r.in[0].dtype, spec.output = r.out[0].dtype;
  return gemm_kernel(spec, 1);
}

std::unique_ptr<Kernel> make_linear_backward_bias(const KernelRequest& r) {
  const std::int64_t m = r.in[0].shape[0], n = r.in[0].shape[1];
  // Slabs of at least 64 rows, and about two blocks a multiprocessor.
  const std::int64_t tiles = ceil_div(n, kColumns);
  const std::int64_t wanted =
      std::min(ceil_div(m, 64), ceil_div(2 * 132, tiles));
  const std::int64_t rows = ceil_div(m, wanted);
  const std::int64_t slabs = ceil_div(m, rows);
  const std::size_t workspace =
      slabs == 1 ? 0 : static_cast<std::size_t>(slabs * n) * sizeof(float);
  std::unique_ptr<Kernel> kernel;
  with_real_type(r.in[0].dtype, "linear_backward_bias", [&]<typename T>(T) {
    const auto sum = n % kPack == 0 ? sum_rows<T, true> : sum_rows<T, false>;
    kernel = function_kernel(workspace, [=](const KernelArgs& args) {
      float* db = args.out[0].f32();
      float* sums = slabs == 1 ? db : static_cast<float*>(args.workspace);
      launch(sum, {tiles, slabs, 1, kThreads}, args.stream,
             static_cast<const T*>(args.in[0].data), m, n, rows, sums);
      if (slabs > 1)
        launch(sum_slabs, grid_stride(n), args.stream,
               static_cast<const float*>(sums), slabs, n, db);
    });
  });
  return kernel;
}

}  // namespace music::cuda
