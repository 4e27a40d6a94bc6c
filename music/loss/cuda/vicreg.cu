// The VICReg loss on the GPU: fp32 products (no TF32), sums in double.

#include "music/loss/vicreg.h"

#include <algorithm>
#include <cmath>

#include "engine/cuda/block_reduce.h"
#include "music/loss/cuda/off_diagonal.h"
#include "music/loss/cuda/parts.h"
#include "music/loss/cuda/view_losses.h"
#include "music/loss/loss_node.h"

namespace music::cuda {
namespace {

constexpr int kThreads = 256, kSumThreads = 512;

struct Variance {
  const double* squares;  // [2,D]
  std::int64_t columns;   // 2 D
  double freedom, epsilon;
  double slope;      // of the term in a deviation
  float* deviation;  // [2,D]
  float* hinge;      // [2,D], d variance / dz over the centred value
  double* parts;     // [blocks], of the sum of max(0, 1 - deviation)
};

__global__ void __launch_bounds__(kThreads) variance_of(Variance a) {
  const std::int64_t d = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  double sum = 0;
  if (d < a.columns) {
    const double s = std::sqrt(a.squares[d] / a.freedom + a.epsilon);
    const bool wide = s >= 1;  // so that NaN is not
    sum = wide ? 0 : 1 - s;
    a.deviation[d] = static_cast<float>(s);
    a.hinge[d] = static_cast<float>(wide ? 0 : a.slope / (a.freedom * s));
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) a.parts[blockIdx.x] = sum;
}

struct Backward {
  const float *z, *centred, *hinge;
  float* dz;  // on entry that of the squares of C, by one side of the product
  std::int64_t n, units, stride;
  float difference_scale, covariance_scale;
  double* parts;  // [blocks], of the sum of (x - y)^2
};

__global__ void __launch_bounds__(kThreads) embedding_gradient(Backward a) {
  double sum = 0;
  for (std::int64_t i = blockIdx.x; i < a.n; i += gridDim.x)
    for (std::int64_t d = threadIdx.x; d < a.units; d += kThreads) {
      const std::int64_t x = i * a.units + d, y = x + a.n * a.units;
      const float difference = a.z[x] - a.z[y];
      const float pull = a.difference_scale * difference;
      sum += static_cast<double>(difference) * static_cast<double>(difference);
      const float* const centred = a.centred + i * a.stride + d;
      a.dz[x] = pull + a.hinge[d] * centred[0] +
                a.covariance_scale * a.dz[x];
      a.dz[y] = -pull + a.hinge[a.units + d] * centred[a.n * a.stride] +
                a.covariance_scale * a.dz[y];
    }
  sum = block_sum(sum);
  if (threadIdx.x == 0) a.parts[blockIdx.x] = sum;
}

// sums: of squares off the diagonals, of (x - y)^2, of the variance.
__global__ void __launch_bounds__(kSumThreads)
    sum_of_terms(Parts squares, Parts differences, Parts variance,
                 double* sums) {
  const double a = sum_parts(squares);
  const double b = sum_parts(differences);
  const double c = sum_parts(variance);
  if (threadIdx.x > 0) return;
  sums[0] = a, sums[1] = b, sums[2] = c;
}

__global__ void terms_of(const double* sums, VicregSpec by, double samples,
                         double units, double* terms, float* total) {
  if (threadIdx.x > 0) return;
  terms[0] = sums[1] / (samples * units);
  terms[1] = 0.5 * sums[2] / units;
  terms[2] = sums[0] / units;
  terms[3] = by.invariance * terms[0] + by.variance * terms[1] +
             by.covariance * terms[2];
  *total = static_cast<float>(terms[3]);
}

class VicregKernel final : public Kernel {
 public:
  VicregKernel(const ViewShape& shape, const VicregSpec& spec,
               const PanelWidths* widths)
      : shape_(shape),
        spec_(spec),
        covariance_(shape, 1 / (shape.samples - 1), DType::kF32,
                    gradients_of(spec), widths) {
    Workspace none;
    workspace_bytes_ = carve(nullptr, none);
  }
  std::size_t workspace_bytes() const override { return workspace_bytes_; }

  void run(const KernelArgs& args) override {
    Workspace w;
    carve(args.workspace, w);
    const float* z = args.in[0].f32();
    float* dz = args.out[1].f32();
    const double units = static_cast<double>(shape_.units);
    const double freedom = shape_.samples - 1;
    centre_columns(shape_, z, w.centred, w.scratch, w.squares, args.stream);
    launch(variance_of, {variance_parts(), 1, 1, kThreads}, args.stream,
           Variance{w.squares, 2 * shape_.units, freedom, spec_.epsilon,
                    -0.5 * spec_.variance / units, args.out[3].f32(), w.hinge,
                    w.variance});
    for (int v = 0; v < 2; ++v) {
      const float* x = w.centred + v * shape_.n * shape_.stride;
      covariance_.run(x, x, nullptr, dz + v * shape_.n * shape_.units,
                      w.covariance + v * covariance_.parts(), w.product,
                      args.stream);
    }
    launch(embedding_gradient, {rows(), 1, 1, kThreads}, args.stream,
           Backward{z, w.centred, w.hinge, dz, shape_.n, shape_.units,
                    shape_.stride,
                    static_cast<float>(2 * spec_.invariance /
                                       (shape_.samples * units)),
                    static_cast<float>(4 * spec_.covariance /
                                       (units * freedom)),
                    w.differences});
    launch(sum_of_terms, {1, 1, 1, kSumThreads}, args.stream,
           Parts{w.covariance, 2 * covariance_.parts()},
           Parts{w.differences, rows()}, Parts{w.variance, variance_parts()},
           w.sums);
    // The variance is of all samples already.
    sum_over_ranks(shape_, w.sums, 2, args.stream);
    launch(terms_of, {1, 1, 1, 32}, args.stream, w.sums, spec_, shape_.samples,
           units, args.out[2].as<double>(), args.out[0].f32());
  }

 private:
  struct Workspace {
    void* product;
    float *centred, *hinge;  // [2n,stride], [2,D]
    double *scratch, *squares;  // [2,D]
    double *variance, *covariance, *differences, *sums;
  };
  std::size_t carve(void* base, Workspace& w) const {
    std::size_t offset = 0;
    const auto take = [&]<typename T>(T*& pointer, std::int64_t count,
                                      std::size_t size) {
      pointer = reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(base) +
                                     offset);
      offset += workspace_part(static_cast<std::size_t>(count) * size);
    };
    take(w.product, static_cast<std::int64_t>(covariance_.workspace_bytes()),
         1);
    take(w.centred, 2 * shape_.n * shape_.stride, sizeof(float));
    take(w.hinge, 2 * shape_.units, sizeof(float));
    take(w.scratch, 2 * shape_.units, sizeof(double));
    take(w.squares, 2 * shape_.units, sizeof(double));
    take(w.variance, variance_parts(), sizeof(double));
    take(w.covariance, 2 * covariance_.parts(), sizeof(double));
    take(w.differences, rows(), sizeof(double));
    take(w.sums, 3, sizeof(double));
    return offset;
  }
  std::int64_t variance_parts() const {
    return ceil_div(2 * shape_.units, kThreads);
  }
  // Blocks of embedding_gradient.
  std::int64_t rows() const {
    return std::min<std::int64_t>(shape_.n, MUSIC_MOST_BLOCKS);
  }

  ViewShape shape_;
  VicregSpec spec_;
  OffDiagonalSquares covariance_;
  std::size_t workspace_bytes_ = 0;
};

std::unique_ptr<Kernel> make(const KernelRequest& r, const VicregSpec& spec,
                             const SharedBatch& batch, DType codes,
                             const PanelWidths* widths) {
  check_spec(spec);
  MUSIC_CHECK(codes == DType::kF32 || codes == DType::kF16,
              "[vicreg] codes in {}, expected F32 or F16", name_of(codes));
  const Shape& z = r.in[0].shape;
  dist::Communicator* const ranks = sharing("vicreg", batch, z[0] / 2);
  const std::int64_t samples = ranks ? batch.samples : z[0] / 2;
  MUSIC_CHECK(samples >= 2, "[vicreg] {} samples, expected at least 2",
              samples);
  return std::make_unique<VicregKernel>(
      view_shape(z[0] / 2, z[1], samples, ranks), spec, widths);
}

}  // namespace

std::unique_ptr<Kernel> make_vicreg(const KernelRequest& r, VicregSpec spec,
                                    SharedBatch batch, DType codes) {
  return make(r, spec, batch, codes, nullptr);
}
std::unique_ptr<Kernel> make_vicreg(const KernelRequest& r, VicregSpec spec,
                                    SharedBatch batch, DType codes,
                                    PanelWidths widths) {
  return make(r, spec, batch, codes, &widths);
}

}  // namespace music::cuda
