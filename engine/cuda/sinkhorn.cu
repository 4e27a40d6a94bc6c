#include "engine/ops/sinkhorn.h"

#include "engine/cuda/block_reduce.h"
#include "engine/cuda/elementwise.h"

namespace music::cuda {
namespace {

constexpr std::int64_t kRows = 32;  // that a thread sums

struct Exponential {
  float inverse;  // 1 / epsilon
  __device__ float operator()(float s) const {
    return expf((s - 1) * inverse);
  }
};

// A thread a column, a block a chunk of rows -> partial [chunks, k].
__global__ void sum_columns(const float* q, std::int64_t b, std::int64_t k,
                            double* partial) {
  const std::int64_t j = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (j >= k) return;
  const std::int64_t begin = blockIdx.y * kRows;
  const std::int64_t end = begin + kRows < b ? begin + kRows : b;
  double sum = 0;
  for (std::int64_t row = begin; row < end; ++row)
    sum += static_cast<double>(q[row * k + j]);
  partial[blockIdx.y * k + j] = sum;
}

__global__ void sum_column_chunks(const double* partial, std::int64_t chunks,
                                  std::int64_t k, double* sums) {
  const std::int64_t j = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (j >= k) return;
  double sum = 0;
  for (std::int64_t i = 0; i < chunks; ++i) sum += partial[i * k + j];
  sums[j] = sum;
}

// A block a row; y may be q.
__global__ void balance_rows(const float* q, const double* sums, int k,
                             float* y) {
  const std::int64_t at = std::int64_t{blockIdx.x} * k;
  const int first = static_cast<int>(threadIdx.x);
  const int step = static_cast<int>(blockDim.x);
  double sum = 0;
  for (int j = first; j < k; j += step) {
    const float v =
        sums[j] == 0 ? 0.0f : q[at + j] / static_cast<float>(sums[j]);
    y[at + j] = v;
    sum += static_cast<double>(v);
  }
  sum = block_sum_everywhere(sum);
  const float factor = sum == 0 ? 0.0f : static_cast<float>(1 / sum);
  for (int j = first; j < k; j += step) y[at + j] *= factor;
}

}  // namespace

std::unique_ptr<Kernel> make_sinkhorn_exponentials(const KernelRequest& r,
                                                   double epsilon) {
  const float inverse = static_cast<float>(1 / epsilon);
  return elementwise_kernel<1>(r, "sinkhorn", [inverse](const KernelArgs&) {
    return Exponential{inverse};
  });
}

std::unique_ptr<Kernel> make_sinkhorn_columns(const KernelRequest& r) {
  const std::int64_t b = r.in[0].shape[0], k = r.in[0].shape[1];
  const std::int64_t chunks = ceil_div(b, kRows);
  return function_kernel(
      static_cast<std::size_t>(chunks * k) * sizeof(double),
      [=](const KernelArgs& args) {
        auto* partial = static_cast<double*>(args.workspace);
        launch(sum_columns, {ceil_div(k, 128), chunks, 1, 128}, args.stream,
               args.in[0].f32(), b, k, partial);
        launch(sum_column_chunks, {ceil_div(k, 128), 1, 1, 128}, args.stream,
               partial, chunks, k, args.out[0].as<double>());
      });
}

std::unique_ptr<Kernel> make_sinkhorn_rows(const KernelRequest& r) {
  const std::int64_t b = r.out[0].shape[0];
  const int k = static_cast<int>(r.out[0].shape[1]);
  return function_kernel([=](const KernelArgs& args) {
    launch(balance_rows, block_per_row(b, k), args.stream, args.in[0].f32(),
           args.in[1].as<double>(), k, args.out[0].f32());
  });
}

}  // namespace music::cuda
