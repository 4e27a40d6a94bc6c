#include "engine/ops/linear.h"

#include "engine/cpu/elementwise.h"
#include "engine/cpu/gemm.h"

namespace music::cpu {
namespace {

struct Sizes { std::int64_t m, i, o; };  // x [m,i], w [o,i], y [m,o]

}  // namespace

std::unique_ptr<Kernel> make_linear_forward(const KernelRequest& r) {
  require_f32(r, "linear");
  const Sizes s{r.in[0].shape[0], r.in[0].shape[1], r.in[1].shape[0]};
  const bool bias = r.in.size() == 3;
  return function_kernel([s, bias](const KernelArgs& args) {
    float* y = args.out[0].f32();
    if (bias) {
      const float* b = args.in[2].f32();
      parallel_ranges(s.m, std::max<std::int64_t>(1, kElementGrain / s.o),
                      [&](std::int64_t begin, std::int64_t end) {
                        for (std::int64_t m = begin; m < end; ++m)
                          std::copy_n(b, s.o, y + m * s.o);
                      });
    }
    sgemm(false, true, s.m, s.o, s.i, 1, args.in[0].f32(), s.i,
          args.in[1].f32(), s.i, bias ? 1.0f : 0.0f, y, s.o);
  });
}

std::unique_ptr<Kernel> make_linear_backward_data(const KernelRequest& r) {
  require_f32(r, "linear_backward_data");
  const Sizes s{r.in[0].shape[0], r.in[1].shape[1], r.in[1].shape[0]};
  return function_kernel([s](const KernelArgs& args) {
    sgemm(false, false, s.m, s.i, s.o, 1, args.in[0].f32(), s.o,
          args.in[1].f32(), s.i, 0, args.out[0].f32(), s.i);
  });
}

std::unique_ptr<Kernel> make_linear_backward_weights(const KernelRequest& r) {
  require_f32(r, "linear_backward_weights");
  const Sizes s{r.in[0].shape[0], r.in[0].shape[1], r.in[1].shape[1]};
  return function_kernel([s](const KernelArgs& args) {
    sgemm(true, false, s.o, s.i, s.m, 1, args.in[1].f32(), s.o,
          args.in[0].f32(), s.i, 0, args.out[0].f32(), s.i);
  });
}

std::unique_ptr<Kernel> make_linear_backward_bias(const KernelRequest& r) {
  require_f32(r, "linear_backward_bias");
  const std::int64_t m = r.in[0].shape[0], o = r.in[0].shape[1];
  return function_kernel([m, o](const KernelArgs& args) {
    const float* dy = args.in[0].f32();
    float* db = args.out[0].f32();
    // Columns in pieces of 64: the sums stay in registers over all rows.
    parallel_ranges(o, 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t c = begin; c < end; c += 64) {
        const std::int64_t width = std::min<std::int64_t>(64, end - c);
        double sum[64] = {};
        for (std::int64_t row = 0; row < m; ++row)
          for (std::int64_t j = 0; j < width; ++j) sum[j] += dy[row * o + c + j];
        for (std::int64_t j = 0; j < width; ++j)
          db[c + j] = static_cast<float>(sum[j]);
      }
    });
  });
}

}  // namespace music::cpu
