#include "engine/ops/contrastive.h"

#include "engine/cuda/block_reduce.h"
#include "engine/ops/contrastive_row.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {
namespace {

// A block a row: its loss and hit, the gradients of its negatives to d, which
// may be z, and the positive's to *dpositive, which may be in d or the place of
// the positive itself. Every element of z has been read before the first
// barrier behind it lets a write of another thread through.
__device__ inline void contrast(const float* z, int k, ContrastiveColumns own,
                                float positive, double inverse, double weight,
                                double* loss, double* hit, float* d,
                                float* dpositive) {
  const int first = static_cast<int>(threadIdx.x);
  const int step = static_cast<int>(blockDim.x);
  const auto for_negatives = [&](auto fn) {
    for (int i = first; i < k; i += step)
      if (i != own.self && i != own.positive) fn(i);
  };
  const float scale = static_cast<float>(inverse);
  float most = -INFINITY;
  for_negatives([&](int i) { most = z[i] > most ? z[i] : most; });
  most = block_max_everywhere(most);
  ContrastiveRow c;
  c.top = positive > most ? positive : most;
  c.positive = positive, c.inverse = inverse;
  c.own = static_cast<double>(expf((positive - c.top) * scale));
  double others = 0;
  for_negatives([&](int i) {
    others += static_cast<double>(expf((z[i] - c.top) * scale));
  });
  c.others = block_sum_everywhere(others);
  const float factor = static_cast<float>(weight * c.negative());
  for_negatives([&](int i) { d[i] = expf((z[i] - c.top) * scale) * factor; });
  if (first != 0) return;
  if (own.self >= 0) d[own.self] = 0;
  *dpositive = static_cast<float>(weight * c.positive_gradient());
  *loss = weight * c.loss();
  *hit = positive > most ? 1 : 0;
}

__global__ void contrastive_rows(const float* scores, int k, int first,
                                 int samples, double inverse, double weight,
                                 double* loss, double* hit, float* dscores) {
  const std::int64_t row = blockIdx.x;
  const float* z = scores + row * k;
  float* d = dscores + row * k;
  const ContrastiveColumns own =
      contrastive_columns(row, gridDim.x / 2, first, samples);
  contrast(z, k, own, z[own.positive], inverse, weight, loss + row, hit + row,
           d, d + own.positive);
}

__global__ void queue_rows(const float* positive, const float* negatives, int k,
                           double inverse, double weight, double* loss,
                           double* hit, float* dpositive, float* dnegatives) {
  const std::int64_t row = blockIdx.x;
  contrast(negatives + row * k, k, {-1, -1}, positive[row], inverse, weight,
           loss + row, hit + row, dnegatives + row * k, dpositive + row);
}

// fn(args, loss, hit) fills the two of every row; they are summed.
template <typename F>
std::unique_ptr<Kernel> summing_kernel(std::int64_t rows, F fn) {
  return function_kernel(
      static_cast<std::size_t>(2 * rows) * sizeof(double),
      [rows, fn](const KernelArgs& args) {
        auto* loss = static_cast<double*>(args.workspace);
        double* hit = loss + rows;
        fn(args, loss, hit);
        launch(mean_of<float>, {}, args.stream, loss, rows, 1.0,
               args.out[0].f32());
        launch(mean_of<float>, {}, args.stream, hit, rows, 1.0,
               args.out[1].f32());
      });
}

}  // namespace

std::unique_ptr<Kernel> make_contrastive(const KernelRequest& r,
                                         ContrastiveSpec spec) {
  const std::int64_t rows = r.in[0].shape[0];
  const int k = static_cast<int>(r.in[0].shape[1]);
  return summing_kernel(
      rows, [=](const KernelArgs& args, double* loss, double* hit) {
        launch(contrastive_rows, block_per_row(rows, k), args.stream,
               args.in[0].f32(), k, static_cast<int>(spec.first),
               static_cast<int>(spec.samples), 1 / spec.temperature,
               spec.weight, loss, hit, args.out[2].f32());
      });
}

std::unique_ptr<Kernel> make_queue_contrastive(const KernelRequest& r,
                                               ContrastiveSpec spec) {
  const std::int64_t rows = r.in[1].shape[0];
  const int k = static_cast<int>(r.in[1].shape[1]);
  return summing_kernel(
      rows, [=](const KernelArgs& args, double* loss, double* hit) {
        launch(queue_rows, block_per_row(rows, k), args.stream,
               args.in[0].f32(), args.in[1].f32(), k, 1 / spec.temperature,
               spec.weight, loss, hit, args.out[2].f32(), args.out[3].f32());
      });
}

}  // namespace music::cuda
