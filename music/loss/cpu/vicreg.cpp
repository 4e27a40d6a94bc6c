// The VICReg loss on the CPU, in fp32 with sums in double.

#include "music/loss/vicreg.h"

#include <cmath>

#include "engine/core/buffer.h"
#include "music/loss/cpu/off_diagonal.h"
#include "music/loss/loss_node.h"

namespace music::cpu {
namespace {

class VicregKernel final : public Kernel {
 public:
  VicregKernel(const ViewShape& shape, const VicregSpec& spec)
      : shape_(shape),
        spec_(spec),
        covariance_(shape, 1 / (shape.samples - 1),
                    gradients_of(spec)) {
    Workspace none;
    workspace_bytes_ = carve(nullptr, none);
  }
  std::size_t workspace_bytes() const override { return workspace_bytes_; }

  void run(const KernelArgs& args) override {
    Workspace w;
    carve(args.workspace, w);
    const float* z = args.in[0].f32();
    float* dz = args.out[1].f32();
    const std::int64_t view = shape_.n * shape_.units;
    const double units = static_cast<double>(shape_.units);
    centre_columns(shape_, z, w.centred, w.squares);
    double* terms = args.out[2].as<double>();
    terms[1] = variance(w, args.out[3].f32());
    double sums[2] = {};
    for (int v = 0; v < 2; ++v) {
      const float* x = w.centred + v * view;
      sums[0] += covariance_.run(x, x, nullptr, dz + v * view, w.covariance);
    }
    sums[1] = backward(z, w, dz);
    sum_over_ranks(shape_, sums, 2);
    terms[0] = sums[1] / (shape_.samples * units);
    terms[2] = sums[0] / units;
    terms[3] = spec_.invariance * terms[0] + spec_.variance * terms[1] +
               spec_.covariance * terms[2];
    args.out[0].f32()[0] = static_cast<float>(terms[3]);
  }

 private:
  struct Workspace {
    float* centred;   // [2n,D]
    double* squares;  // [2,D], sums of their squares over the batch
    float* hinge;     // [2,D], d variance / dz over the centred value
    double* rows;     // [n], sums of (x - y)^2
    void* covariance;
  };
  std::size_t carve(void* base, Workspace& w) const {
    std::size_t offset = 0;
    const auto take = [&]<typename T>(T*& pointer, std::int64_t count) {
      pointer = reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(base) +
                                     offset);
      offset += aligned(static_cast<std::size_t>(count) * sizeof(T));
    };
    take(w.centred, 2 * shape_.n * shape_.units);
    take(w.squares, 2 * shape_.units);
    take(w.hinge, 2 * shape_.units);
    take(w.rows, shape_.n);
    w.covariance = static_cast<std::byte*>(base) + offset;
    return offset + covariance_.workspace_bytes();
  }

  // The term, from the sums of squares; deviations and their gradients.
  double variance(const Workspace& w, float* deviation) const {
    const double units = static_cast<double>(shape_.units);
    const double freedom = shape_.samples - 1;
    double sum = 0;
    for (std::int64_t d = 0; d < 2 * shape_.units; ++d) {
      const double s = std::sqrt(w.squares[d] / freedom + spec_.epsilon);
      deviation[d] = static_cast<float>(s);
      const bool wide = s >= 1;  // so that NaN is not
      sum += wide ? 0 : 1 - s;
      w.hinge[d] = static_cast<float>(
          wide ? 0 : -0.5 * spec_.variance / (units * freedom * s));
    }
    return 0.5 * sum / units;
  }

  // dz of all terms; on entry it is that of the squares of C, by one side of
  // the product. Returns the sum of (x - y)^2.
  double backward(const float* z, const Workspace& w, float* dz) const {
    const std::int64_t units = shape_.units, n = shape_.n;
    const double width = static_cast<double>(units);
    const auto difference_scale =
        static_cast<float>(2 * spec_.invariance / (shape_.samples * width));
    const auto covariance_scale = static_cast<float>(
        4 * spec_.covariance / (width * (shape_.samples - 1)));
#pragma omp parallel for num_threads(shape_.threads) schedule(static)
    for (std::int64_t i = 0; i < n; ++i) {
      const float *x = z + i * units, *y = z + (n + i) * units;
      const float *xc = w.centred + i * units, *yc = xc + n * units;
      const float *hx = w.hinge, *hy = w.hinge + units;
      float *dx = dz + i * units, *dy = dx + n * units;
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::int64_t d = 0; d < units; ++d) {
        const float difference = x[d] - y[d];
        sum += static_cast<double>(difference) *
               static_cast<double>(difference);
        const float pull = difference_scale * difference;
        dx[d] = pull + hx[d] * xc[d] + covariance_scale * dx[d];
        dy[d] = -pull + hy[d] * yc[d] + covariance_scale * dy[d];
      }
      w.rows[i] = sum;
    }
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += w.rows[i];
    return sum;
  }

  ViewShape shape_;
  VicregSpec spec_;
  OffDiagonalSquares covariance_;
  std::size_t workspace_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_vicreg(const KernelRequest& r, VicregSpec spec,
                                    SharedBatch batch, DType codes) {
  check_spec(spec);
  if (codes != DType::kF32)
    throw error(ExitCode::kUsage, "[vicreg] codes in {}: on a CPU they are F32",
                name_of(codes));
  const Shape& z = r.in[0].shape;
  dist::Communicator* const ranks = sharing("vicreg", batch, z[0] / 2);
  const std::int64_t samples = ranks ? batch.samples : z[0] / 2;
  MUSIC_CHECK(samples >= 2, "[vicreg] {} samples, expected at least 2",
              samples);
  return std::make_unique<VicregKernel>(
      ViewShape{z[0] / 2, z[1], static_cast<double>(samples),
                omp_get_max_threads(), ranks},
      spec);
}

}  // namespace music::cpu
