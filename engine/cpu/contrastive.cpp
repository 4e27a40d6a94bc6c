#include "engine/ops/contrastive.h"

#include <array>
#include <cmath>
#include <limits>

#include "engine/cpu/elementwise.h"
#include "engine/ops/contrastive_row.h"

namespace music::cpu {
namespace {

// Columns [begin, end) of a row.
struct Range {
  std::int64_t begin, end;
};

// Loss and hit of a row whose negatives are the columns of `ranges`; writes
// their gradients to d, which may be z, and the positive's to dpositive.
template <std::size_t N>
void row(const float* z, const std::array<Range, N>& ranges, float positive,
         const ContrastiveSpec& spec, double& loss, double& hit, float* d,
         float& dpositive) {
  const float inverse = static_cast<float>(1 / spec.temperature);
  float most = -std::numeric_limits<float>::infinity();
  for (const Range& r : ranges)
    for (std::int64_t i = r.begin; i < r.end; ++i) most = std::max(most, z[i]);
  ContrastiveRow c;
  c.top = std::max(most, positive), c.positive = positive;
  c.inverse = 1 / spec.temperature;
  c.own = std::exp((positive - c.top) * inverse);
  double others = 0;
  for (const Range& r : ranges)
#pragma omp simd reduction(+ : others)
    for (std::int64_t i = r.begin; i < r.end; ++i) {
      d[i] = std::exp((z[i] - c.top) * inverse);
      others += d[i];
    }
  c.others = others;
  const float factor = static_cast<float>(spec.weight * c.negative());
  for (const Range& r : ranges)
#pragma omp simd
    for (std::int64_t i = r.begin; i < r.end; ++i) d[i] *= factor;
  dpositive = static_cast<float>(spec.weight * c.positive_gradient());
  loss = spec.weight * c.loss();
  hit = positive > most ? 1 : 0;
}

// A kernel that sums fn(args, row, loss, hit) over the rows in order.
template <typename F>
std::unique_ptr<Kernel> summing_kernel(std::int64_t rows, F fn) {
  return function_kernel(
      static_cast<std::size_t>(2 * rows) * sizeof(double),
      [rows, fn](const KernelArgs& args) {
        auto* loss = static_cast<double*>(args.workspace);
        double* hit = loss + rows;
        parallel_ranges(rows, 1, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i)
            fn(args, i, loss[i], hit[i]);
        });
        double total = 0, correct = 0;
        for (std::int64_t i = 0; i < rows; ++i)
          total += loss[i], correct += hit[i];
        args.out[0].f32()[0] = static_cast<float>(total);
        args.out[1].f32()[0] = static_cast<float>(correct);
      });
}

}  // namespace

std::unique_ptr<Kernel> make_contrastive(const KernelRequest& r,
                                         ContrastiveSpec spec) {
  require_f32(r, "contrastive");
  const std::int64_t rows = r.in[0].shape[0], k = r.in[0].shape[1];
  return summing_kernel(rows, [=](const KernelArgs& args, std::int64_t i,
                                  double& loss, double& hit) {
    const float* z = args.in[0].f32() + i * k;
    float* d = args.out[2].f32() + i * k;
    const auto c = contrastive_columns(i, rows / 2, spec.first, spec.samples);
    const std::int64_t a = std::min(c.self, c.positive);
    const std::int64_t b = std::max(c.self, c.positive);
    const std::array<Range, 3> negatives{{{0, a}, {a + 1, b}, {b + 1, k}}};
    float dpositive = 0;
    row(z, negatives, z[c.positive], spec, loss, hit, d, dpositive);
    d[c.self] = 0;
    d[c.positive] = dpositive;
  });
}

std::unique_ptr<Kernel> make_queue_contrastive(const KernelRequest& r,
                                               ContrastiveSpec spec) {
  require_f32(r, "queue_contrastive");
  const std::int64_t rows = r.in[1].shape[0], k = r.in[1].shape[1];
  return summing_kernel(rows, [=](const KernelArgs& args, std::int64_t i,
                                  double& loss, double& hit) {
    const std::array<Range, 1> negatives{{{0, k}}};
    row(args.in[1].f32() + i * k, negatives, args.in[0].f32()[i], spec, loss,
        hit, args.out[3].f32() + i * k, args.out[2].f32()[i]);
  });
}

}  // namespace music::cpu
