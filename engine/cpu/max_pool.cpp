#include "engine/ops/max_pool.h"

#include <limits>

#include "engine/cpu/elementwise.h"

namespace music::cpu {
namespace {

struct Geometry {
  std::int64_t n, h, w, c, ho, wo;
  MaxPoolSpec spec;
};

// Calls fn(window position k, input pixel) for the window of output (y, x).
template <typename F>
void for_window(const Geometry& g, std::int64_t y, std::int64_t x, F&& fn) {
  for (int i = 0; i < g.spec.size; ++i) {
    const std::int64_t iy = y * g.spec.stride - g.spec.pad + i;
    if (iy < 0 || iy >= g.h) continue;
    for (int j = 0; j < g.spec.size; ++j) {
      const std::int64_t ix = x * g.spec.stride - g.spec.pad + j;
      if (ix < 0 || ix >= g.w) continue;
      fn(static_cast<std::uint8_t>(i * g.spec.size + j), iy * g.w + ix);
    }
  }
}

// The inverse: calls fn(place of pixel (y, x) in a window, window) for each output
// whose window it lies in.
template <typename F>
void for_windows_at(const Geometry& g, std::int64_t y, std::int64_t x, F&& fn) {
  const std::int64_t size = g.spec.size, stride = g.spec.stride;
  // Windows o with o * stride <= at < o * stride + size.
  const auto first = [&](std::int64_t at) {
    return at < size ? 0 : (at - size) / stride + 1;
  };
  y += g.spec.pad, x += g.spec.pad;
  for (std::int64_t oy = first(y); oy <= std::min(y / stride, g.ho - 1); ++oy)
    for (std::int64_t ox = first(x); ox <= std::min(x / stride, g.wo - 1); ++ox)
      fn(static_cast<std::uint8_t>((y - oy * stride) * size + x - ox * stride),
         oy * g.wo + ox);
}

}  // namespace

std::unique_ptr<Kernel> make_max_pool_forward(const KernelRequest& r,
                                              MaxPoolSpec spec) {
  const Shape xs = r.in[0].shape, ys = r.out[0].shape;
  const Geometry g{xs[0], xs[1], xs[2], xs[3], ys[1], ys[2], spec};
  return function_kernel([g](const KernelArgs& args) {
    const float* x = args.in[0].f32();
    float* y = args.out[0].f32();
    std::uint8_t* winner = args.out[1].as<std::uint8_t>();
    parallel_ranges(g.n * g.ho, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const float* image = x + row / g.ho * g.h * g.w * g.c;
        for (std::int64_t ox = 0; ox < g.wo; ++ox) {
          float* best = y + (row * g.wo + ox) * g.c;
          std::uint8_t* k_best = winner + (row * g.wo + ox) * g.c;
          std::fill_n(best, g.c, -std::numeric_limits<float>::infinity());
          std::fill_n(k_best, g.c, std::uint8_t{0});
          for_window(g, row % g.ho, ox, [&](std::uint8_t k, std::int64_t p) {
            const float* v = image + p * g.c;
#pragma omp simd
            for (std::int64_t c = 0; c < g.c; ++c) {
              // NaN wins and stays, so that it is seen and not swallowed.
              const bool better = (v[c] > best[c]) | (v[c] != v[c]);
              best[c] = better ? v[c] : best[c];
              k_best[c] = better ? k : k_best[c];
            }
          });
        }
      }
    });
  });
}

std::unique_ptr<Kernel> make_max_pool_backward(const KernelRequest& r,
                                               MaxPoolSpec spec) {
  const Shape xs = r.out[0].shape, ys = r.in[0].shape;
  const Geometry g{xs[0], xs[1], xs[2], xs[3], ys[1], ys[2], spec};
  return function_kernel([g](const KernelArgs& args) {
    const float* dy = args.in[0].f32();
    const std::uint8_t* winner = args.in[1].as<std::uint8_t>();
    float* dx = args.out[0].f32();
    // Each pixel gathers from the windows that it lies in, so that dx is written
    // once, by whatever thread has its row.
    parallel_ranges(g.n * g.h, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t iy = row % g.h, image = row / g.h * g.ho * g.wo;
        for (std::int64_t ix = 0; ix < g.w; ++ix) {
          float* d = dx + (row * g.w + ix) * g.c;
          std::fill_n(d, g.c, 0.0f);
          for_windows_at(g, iy, ix, [&](std::uint8_t k, std::int64_t window) {
            const std::int64_t at = (image + window) * g.c;
#pragma omp simd
            for (std::int64_t c = 0; c < g.c; ++c) {
              const float v = dy[at + c];
              const std::int32_t won = winner[at + c];
              d[c] += won == k ? v : 0.0f;
            }
          });
        }
      }
    });
  });
}

}  // namespace music::cpu
