// The Barlow Twins loss on the GPU: products of fp32 or fp16 codes, all else
// fp32 with sums in double. fp16 codes need no scale: normalised embeddings are
// about 1 and at most sqrt(N), correlations at most 1, and what is too small
// for fp16 is small beside its row.

#include "music/loss/barlow_twins.h"

#include <cmath>

#include "engine/cuda/block_reduce.h"
#include "engine/cuda/elements.h"
#include "music/loss/cuda/column_sums.h"
#include "music/loss/cuda/off_diagonal.h"
#include "music/loss/cuda/parts.h"
#include "music/loss/cuda/view_losses.h"
#include "music/loss/loss_node.h"

namespace music::cuda {
namespace {

constexpr int kThreads = 256, kSumThreads = 512;

__global__ void __launch_bounds__(kThreads)
    deviations(const double* squares, std::int64_t columns, double samples,
               double epsilon, float* deviation, float* inverse) {
  const std::int64_t d = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (d >= columns) return;
  const double s = std::sqrt(squares[d] / samples + epsilon);
  deviation[d] = static_cast<float>(s);
  inverse[d] = static_cast<float>(1 / s);
}

// Centred to normalised, and its codes; sums their products.
template <typename T>
struct Normalise {
  static constexpr int kSums = 1;
  float* unit;
  T* codes;  // null: unit itself
  const float* inverse;
  std::int64_t n, units, stride;

  __device__ void operator()(std::int64_t i, std::int64_t d,
                             double (&sum)[kSums]) const {
    float x[2];
    for (int v = 0; v < 2; ++v) {
      const std::int64_t at = (v * n + i) * stride + d;
      x[v] = unit[at] * inverse[v * units + d];
      unit[at] = x[v];
      if (codes) codes[at] = from_real<T>(x[v]);
    }
    sum[0] += static_cast<double>(x[0]) * static_cast<double>(x[1]);
  }
};

// products [D]: over the batch. parts [blocks]: of the sum of (c_jj - 1)^2.
__global__ void __launch_bounds__(kThreads)
    diagonal_of(const double* products, std::int64_t units, double samples,
                double scale, float* diagonal, double* parts) {
  const std::int64_t d = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  double sum = 0;
  if (d < units) {
    const double off = products[d] / samples - 1;
    sum = off * off;
    diagonal[d] = static_cast<float>(2 * scale * off / samples);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// dz over the normalised views, from that of half the squares of c; its sums
// and those of its products with the views.
struct UnitGradient {
  static constexpr int kSums = 4;
  const float *unit, *diagonal;
  float* dz;
  std::int64_t n, units, stride;
  float off_scale;

  __device__ void operator()(std::int64_t i, std::int64_t d,
                             double (&sum)[kSums]) const {
    const float x[2] = {unit[i * stride + d], unit[(n + i) * stride + d]};
    for (int v = 0; v < 2; ++v) {
      float* const at = dz + (v * n + i) * units + d;
      const float g = off_scale * *at + diagonal[d] * x[1 - v];
      *at = g;
      sum[v] += static_cast<double>(g);
      sum[2 + v] += static_cast<double>(g) * static_cast<double>(x[v]);
    }
  }
};

// dz through the statistics of the batch.
__global__ void __launch_bounds__(kThreads)
    embedding_gradient(const float* unit, const float* inverse,
                       const double* sums, std::int64_t n, std::int64_t units,
                       std::int64_t stride, double samples, float* dz) {
  const std::int64_t count = 2 * n * units;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
       i < count; i += std::int64_t{gridDim.x} * kThreads) {
    const std::int64_t row = i / units, d = i % units;
    const std::int64_t column = (row < n ? 0 : units) + d;
    const float mean = static_cast<float>(sums[column] / samples);
    const float slope = static_cast<float>(sums[2 * units + column] / samples);
    dz[i] = (dz[i] - mean - unit[row * stride + d] * slope) * inverse[column];
  }
}

// sums: of squares off the diagonal, of the diagonal.
__global__ void __launch_bounds__(kSumThreads)
    sum_of_terms(Parts squares, Parts diagonal, double* sums) {
  const double a = sum_parts(squares);
  const double b = sum_parts(diagonal);
  if (threadIdx.x > 0) return;
  sums[0] = a, sums[1] = b;
}

__global__ void terms_of(const double* sums, BarlowTwinsSpec by, double* terms,
                         float* total) {
  if (threadIdx.x > 0) return;
  terms[0] = sums[1];
  terms[1] = sums[0];
  terms[2] = by.scale * (sums[1] + by.lambda * sums[0]);
  *total = static_cast<float>(terms[2]);
}

class BarlowTwinsKernel final : public Kernel {
 public:
  BarlowTwinsKernel(const ViewShape& shape, const BarlowTwinsSpec& spec,
                    DType codes, const PanelWidths* widths)
      : shape_(shape),
        spec_(spec),
        codes_(codes),
        correlation_(shape, 1 / shape.samples, codes, gradients_of(spec),
                     widths) {
    Workspace none;
    workspace_bytes_ = carve(nullptr, none);
  }
  std::size_t workspace_bytes() const override { return workspace_bytes_; }

  void run(const KernelArgs& args) override {
    Workspace w;
    carve(args.workspace, w);
    void* const stream = args.stream;
    float* const dz = args.out[1].f32();
    const std::int64_t n = shape_.n, units = shape_.units;
    const std::int64_t stride = shape_.stride;
    centre_columns(shape_, args.in[0].f32(), w.unit, w.scratch, w.sums, stream);
    launch(deviations, {ceil_div(2 * units, kThreads), 1, 1, kThreads}, stream,
           w.sums, 2 * units, shape_.samples, spec_.epsilon,
           args.out[3].f32(), w.inverse);
    launch_column_sums(Normalise<Half>{w.unit, w.codes, w.inverse, n, units,
                                       stride}, n, units, w.sums, stream);
    sum_over_ranks(shape_, w.sums, units, stream);
    launch(diagonal_of, {diagonal_parts(), 1, 1, kThreads}, stream, w.sums,
           units, shape_.samples, spec_.scale, w.diagonal, w.on);
    if (w.codes)
      correlation_.run(w.codes, w.codes + n * stride, dz, dz + n * units, w.off,
                       w.product, stream);
    else
      correlation_.run(w.unit, w.unit + n * stride, dz, dz + n * units, w.off,
                       w.product, stream);
    launch_column_sums(
        UnitGradient{w.unit, w.diagonal, dz, n, units, stride,
                     static_cast<float>(2 * spec_.scale * spec_.lambda /
                                        shape_.samples)},
        n, units, w.sums, stream);
    sum_over_ranks(shape_, w.sums, 4 * units, stream);
    launch(embedding_gradient, grid_stride(2 * n * units, kThreads), stream,
           w.unit, w.inverse, w.sums, n, units, stride, shape_.samples, dz);
    launch(sum_of_terms, {1, 1, 1, kSumThreads}, stream,
           Parts{w.off, correlation_.parts()}, Parts{w.on, diagonal_parts()},
           w.total);
    // The diagonal is of all samples already.
    sum_over_ranks(shape_, w.total, 1, stream);
    launch(terms_of, {1, 1, 1, 32}, stream, w.total, spec_,
           args.out[2].as<double>(), args.out[0].f32());
  }

 private:
  struct Workspace {
    void* product;
    float *unit, *inverse, *diagonal;  // [2n,stride], [2,D], [D]
    Half* codes;                       // [2n,stride]; null: unit
    double *scratch, *sums;            // [2,D], [4,D]
    double *on, *off, *total;
  };
  std::size_t carve(void* base, Workspace& w) const {
    std::size_t offset = 0;
    const auto take = [&]<typename T>(T*& pointer, std::int64_t count,
                                      std::size_t size) {
      pointer = reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(base) +
                                     offset);
      offset += workspace_part(static_cast<std::size_t>(count) * size);
    };
    const std::int64_t rows = 2 * shape_.n * shape_.stride;
    take(w.product, static_cast<std::int64_t>(correlation_.workspace_bytes()),
         1);
    take(w.unit, rows, sizeof(float));
    w.codes = nullptr;
    if (codes_ == DType::kF16) take(w.codes, rows, sizeof(Half));
    take(w.inverse, 2 * shape_.units, sizeof(float));
    take(w.diagonal, shape_.units, sizeof(float));
    take(w.scratch, 2 * shape_.units, sizeof(double));
    take(w.sums, 4 * shape_.units, sizeof(double));
    take(w.on, diagonal_parts(), sizeof(double));
    take(w.off, correlation_.parts(), sizeof(double));
    take(w.total, 2, sizeof(double));
    return offset;
  }
  std::int64_t diagonal_parts() const {
    return ceil_div(shape_.units, kThreads);
  }

  ViewShape shape_;
  BarlowTwinsSpec spec_;
  DType codes_;
  OffDiagonalSquares correlation_;
  std::size_t workspace_bytes_ = 0;
};

std::unique_ptr<Kernel> make(const KernelRequest& r,
                             const BarlowTwinsSpec& spec,
                             const SharedBatch& batch, DType codes,
                             const PanelWidths* widths) {
  check_spec(spec);
  MUSIC_CHECK(codes == DType::kF32 || codes == DType::kF16,
              "[barlow_twins] codes in {}, expected F32 or F16",
              name_of(codes));
  const Shape& z = r.in[0].shape;
  dist::Communicator* const ranks = sharing("barlow_twins", batch, z[0] / 2);
  const std::int64_t samples = ranks ? batch.samples : z[0] / 2;
  return std::make_unique<BarlowTwinsKernel>(
      view_shape(z[0] / 2, z[1], samples, ranks), spec, codes, widths);
}

}  // namespace

std::unique_ptr<Kernel> make_barlow_twins(const KernelRequest& r,
                                          BarlowTwinsSpec spec,
                                          SharedBatch batch, DType codes) {
  return make(r, spec, batch, codes, nullptr);
}
std::unique_ptr<Kernel> make_barlow_twins(const KernelRequest& r,
                                          BarlowTwinsSpec spec,
                                          SharedBatch batch, DType codes,
                                          PanelWidths widths) {
  return make(r, spec, batch, codes, &widths);
}

}  // namespace music::cuda
