#include "engine/ops/avg_pool.h"

#include <algorithm>

#include "engine/cpu/elementwise.h"

namespace music::cpu {
namespace {

float factor_of(const AvgPoolSpec& s) {
  return 1.0f / static_cast<float>(std::int64_t{s.rows.size} * s.columns.size);
}

// Whether window o of an axis covers place i.
bool covers(const AvgPoolSpec::Axis& a, std::int64_t o, std::int64_t i) {
  return o * a.stride <= i && i < o * a.stride + a.size;
}

}  // namespace

std::unique_ptr<Kernel> make_avg_pool_forward(const KernelRequest& r,
                                              AvgPoolSpec spec) {
  require_f32(r, "avg_pool");
  const Shape xs = r.in[0].shape;
  const std::int64_t n = xs[0], h = xs[1], w = xs[2], c = xs[3];
  return function_kernel([=](const KernelArgs& args) {
    const float* x = args.in[0].f32();
    float* y = args.out[0].f32();
    const auto &rows = spec.rows, &columns = spec.columns;
    const float factor = factor_of(spec);
    parallel_ranges(n * rows.count, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t o = begin; o < end; ++o) {
        const float* image = x + o / rows.count * h * w * c;
        const std::int64_t top = o % rows.count * rows.stride;
        for (std::int64_t ox = 0; ox < columns.count; ++ox) {
          float* to = y + (o * columns.count + ox) * c;
          std::fill_n(to, c, 0.0f);
          for (std::int64_t i = 0; i < rows.size; ++i)
            for (std::int64_t j = 0; j < columns.size; ++j) {
              const float* from =
                  image + ((top + i) * w + ox * columns.stride + j) * c;
#pragma omp simd
              for (std::int64_t k = 0; k < c; ++k) to[k] += from[k];
            }
#pragma omp simd
          for (std::int64_t k = 0; k < c; ++k) to[k] *= factor;
        }
      }
    });
  });
}

std::unique_ptr<Kernel> make_avg_pool_backward(const KernelRequest& r,
                                               AvgPoolSpec spec) {
  require_f32(r, "avg_pool_backward");
  const Shape xs = r.out[0].shape;
  const std::int64_t n = xs[0], h = xs[1], w = xs[2], c = xs[3];
  return function_kernel([=](const KernelArgs& args) {
    const float* dy = args.in[0].f32();
    float* dx = args.out[0].f32();
    const auto &rows = spec.rows, &columns = spec.columns;
    const float factor = factor_of(spec);
    // Each input gathers from the windows that cover it, in their order.
    parallel_ranges(n * h, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t image = row / h, i = row % h;
        for (std::int64_t j = 0; j < w; ++j) {
          float* to = dx + (row * w + j) * c;
          std::fill_n(to, c, 0.0f);
          for (std::int64_t oy = 0; oy < rows.count; ++oy)
            for (std::int64_t ox = 0; ox < columns.count; ++ox) {
              if (!covers(rows, oy, i) || !covers(columns, ox, j)) continue;
              const float* from =
                  dy + ((image * rows.count + oy) * columns.count + ox) * c;
#pragma omp simd
              for (std::int64_t k = 0; k < c; ++k) to[k] += from[k] * factor;
            }
        }
      }
    });
  });
}

}  // namespace music::cpu
