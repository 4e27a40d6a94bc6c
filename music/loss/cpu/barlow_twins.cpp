// The Barlow Twins loss on the CPU, in fp32 with sums in double.

#include "music/loss/barlow_twins.h"

#include <cmath>

#include "engine/core/buffer.h"
#include "music/loss/cpu/off_diagonal.h"
#include "music/loss/loss_node.h"

namespace music::cpu {
namespace {

class BarlowTwinsKernel final : public Kernel {
 public:
  BarlowTwinsKernel(const ViewShape& shape, const BarlowTwinsSpec& spec)
      : shape_(shape),
        spec_(spec),
        correlation_(shape, 1 / shape.samples, gradients_of(spec)) {
    Workspace none;
    workspace_bytes_ = carve(nullptr, none);
  }
  std::size_t workspace_bytes() const override { return workspace_bytes_; }

  void run(const KernelArgs& args) override {
    Workspace w;
    carve(args.workspace, w);
    float* dz = args.out[1].f32();
    const std::int64_t view = shape_.n * shape_.units;
    centre_columns(shape_, args.in[0].f32(), w.unit, w.sums);
    normalise(w, args.out[3].f32());
    double* terms = args.out[2].as<double>();
    terms[0] = diagonal(w);
    terms[1] = correlation_.run(w.unit, w.unit + view, dz, dz + view,
                                w.correlation);
    sum_over_ranks(shape_, terms + 1, 1);
    terms[2] = spec_.scale * (terms[0] + spec_.lambda * terms[1]);
    args.out[0].f32()[0] = static_cast<float>(terms[2]);
    backward(w, dz);
  }

 private:
  struct Workspace {
    float* unit;        // [2n,D], normalised views
    float* inverse;     // [2,D], 1 / deviation
    float* diagonal;    // [D], d total / d c_jj over N
    double* sums;       // [4,D], over the batch
    void* correlation;
  };
  std::size_t carve(void* base, Workspace& w) const {
    std::size_t offset = 0;
    const auto take = [&]<typename T>(T*& pointer, std::int64_t count) {
      pointer = reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(base) +
                                     offset);
      offset += aligned(static_cast<std::size_t>(count) * sizeof(T));
    };
    take(w.unit, 2 * shape_.n * shape_.units);
    take(w.inverse, 2 * shape_.units);
    take(w.diagonal, shape_.units);
    take(w.sums, 4 * shape_.units);
    w.correlation = static_cast<std::byte*>(base) + offset;
    return offset + correlation_.workspace_bytes();
  }

  // Centred views to normalised ones; sums [D] becomes that of their products.
  void normalise(const Workspace& w, float* deviation) const {
    const std::int64_t units = shape_.units, n = shape_.n;
    for (std::int64_t d = 0; d < 2 * units; ++d) {
      const double s = std::sqrt(w.sums[d] / shape_.samples + spec_.epsilon);
      deviation[d] = static_cast<float>(s);
      w.inverse[d] = static_cast<float>(1 / s);
    }
    for_column_chunks(shape_, [&](std::int64_t begin, std::int64_t end) {
      double sum[kColumnChunk] = {};
      for (std::int64_t i = 0; i < n; ++i) {
        float* x = w.unit + i * units + begin;
        float* y = x + n * units;
        const float* of_x = w.inverse + begin;
        const float* of_y = of_x + units;
#pragma omp simd
        for (std::int64_t d = 0; d < end - begin; ++d) {
          x[d] *= of_x[d];
          y[d] *= of_y[d];
          sum[d] += static_cast<double>(x[d]) * static_cast<double>(y[d]);
        }
      }
      std::copy_n(sum, end - begin, w.sums + begin);
    });
    sum_over_ranks(shape_, w.sums, units);
  }

  double diagonal(const Workspace& w) const {
    double sum = 0;
    for (std::int64_t d = 0; d < shape_.units; ++d) {
      const double off = w.sums[d] / shape_.samples - 1;
      sum += off * off;
      w.diagonal[d] =
          static_cast<float>(2 * spec_.scale * off / shape_.samples);
    }
    return sum;
  }

  // dz of all terms, through the statistics of the batch; on entry it is that
  // of half the squares of c, over the normalised views.
  void backward(const Workspace& w, float* dz) const {
    const std::int64_t units = shape_.units, n = shape_.n;
    const auto off_scale = static_cast<float>(2 * spec_.scale * spec_.lambda /
                                              shape_.samples);
    for_column_chunks(shape_, [&](std::int64_t begin, std::int64_t end) {
      double sum[4][kColumnChunk] = {};
      for (std::int64_t i = 0; i < n; ++i) {
        const float* x = w.unit + i * units + begin;
        const float* y = x + n * units;
        const float* on = w.diagonal + begin;
        float* dx = dz + i * units + begin;
        float* dy = dx + n * units;
#pragma omp simd
        for (std::int64_t d = 0; d < end - begin; ++d) {
          const float gx = off_scale * dx[d] + on[d] * y[d];
          const float gy = off_scale * dy[d] + on[d] * x[d];
          dx[d] = gx;
          dy[d] = gy;
          sum[0][d] += static_cast<double>(gx);
          sum[1][d] += static_cast<double>(gy);
          sum[2][d] += static_cast<double>(gx) * static_cast<double>(x[d]);
          sum[3][d] += static_cast<double>(gy) * static_cast<double>(y[d]);
        }
      }
      for (int k = 0; k < 4; ++k)
        std::copy_n(sum[k], end - begin, w.sums + k * units + begin);
    });
    sum_over_ranks(shape_, w.sums, 4 * units);
    for_column_chunks(shape_, [&](std::int64_t begin, std::int64_t end) {
      for (int v = 0; v < 2; ++v) {
        float mean[kColumnChunk], slope[kColumnChunk];
        for (std::int64_t d = begin; d < end; ++d) {
          mean[d - begin] =
              static_cast<float>(w.sums[v * units + d] / shape_.samples);
          slope[d - begin] =
              static_cast<float>(w.sums[(2 + v) * units + d] / shape_.samples);
        }
        const float* inverse = w.inverse + v * units + begin;
        for (std::int64_t i = v * n; i < (v + 1) * n; ++i) {
          const float* x = w.unit + i * units + begin;
          float* dx = dz + i * units + begin;
#pragma omp simd
          for (std::int64_t d = 0; d < end - begin; ++d)
            dx[d] = (dx[d] - mean[d] - x[d] * slope[d]) * inverse[d];
        }
      }
    });
  }

  ViewShape shape_;
  BarlowTwinsSpec spec_;
  OffDiagonalSquares correlation_;
  std::size_t workspace_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Kernel> make_barlow_twins(const KernelRequest& r,
                                          BarlowTwinsSpec spec,
                                          SharedBatch batch, DType codes) {
  check_spec(spec);
  if (codes != DType::kF32)
    throw error(ExitCode::kUsage,
                "[barlow_twins] codes in {}: on a CPU they are F32",
                name_of(codes));
  const Shape& z = r.in[0].shape;
  dist::Communicator* const ranks = sharing("barlow_twins", batch, z[0] / 2);
  const std::int64_t samples = ranks ? batch.samples : z[0] / 2;
  return std::make_unique<BarlowTwinsKernel>(
      ViewShape{z[0] / 2, z[1], static_cast<double>(samples),
                omp_get_max_threads(), ranks},
      spec);
}

}  // namespace music::cpu
