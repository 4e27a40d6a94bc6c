#include "music/loss/cuda/view_columns.h"

#include "engine/cuda/elements.h"
#include "music/loss/cuda/column_sums.h"

namespace music::cuda {
namespace {

struct SumViews {
  static constexpr int kSums = 2;
  const float* z;
  std::int64_t n, units;

  __device__ void operator()(std::int64_t i, std::int64_t d,
                             double (&sum)[kSums]) const {
    for (int v = 0; v < 2; ++v)
      sum[v] += static_cast<double>(z[(v * n + i) * units + d]);
  }
};

struct CentreViews {
  static constexpr int kSums = 2;
  const float* z;
  const double* sums;
  float* centred;
  std::int64_t n, units, stride;
  double samples;

  __device__ void operator()(std::int64_t i, std::int64_t d,
                             double (&square)[kSums]) const {
    for (int v = 0; v < 2; ++v) {
      const float x = static_cast<float>(
          static_cast<double>(z[(v * n + i) * units + d]) -
          sums[v * units + d] / samples);
      centred[(v * n + i) * stride + d] = x;
      square[v] += static_cast<double>(x) * static_cast<double>(x);
    }
  }
};

}  // namespace

ViewShape view_shape(std::int64_t n, std::int64_t units, std::int64_t samples,
                     dist::Communicator* communicator) {
  return {n, units, ceil_div(units, kPack) * kPack,
          static_cast<double>(samples), communicator};
}

void sum_over_ranks(const ViewShape& shape, double* values, std::int64_t count,
                    void* stream) {
  if (shape.communicator)
    shape.communicator->all_reduce({values, Shape{count}, DType::kF64},
                                   dist::Reduction::kSum, stream);
}

void centre_columns(const ViewShape& s, const float* z, float* centred,
                    double* sums, double* squares, void* stream) {
  launch_column_sums(SumViews{z, s.n, s.units}, s.n, s.units, sums, stream);
  sum_over_ranks(s, sums, 2 * s.units, stream);
  launch_column_sums(
      CentreViews{z, sums, centred, s.n, s.units, s.stride, s.samples}, s.n,
      s.units, squares, stream);
  sum_over_ranks(s, squares, 2 * s.units, stream);
}

}  // namespace music::cuda
