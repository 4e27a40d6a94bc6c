#include "engine/ops/segment_softmax.h"

#include <cmath>

#include "engine/cpu/elementwise.h"

namespace music::cpu {

std::unique_ptr<Kernel> make_segment_softmax_forward(const KernelRequest& r,
                                                     SegmentSoftmaxSpec spec) {
  require_f32(r, "segment_softmax");
  const std::int64_t m = r.in[0].shape[0], d = r.in[0].shape[1];
  return function_kernel([=](const KernelArgs& args) {
    const float* z = args.in[0].f32();
    float* q = args.out[0].f32();
    const float inverse = static_cast<float>(1 / spec.temperature);
    parallel_ranges(m, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row)
        for (std::size_t s = 0; s + 1 < spec.begin.size(); ++s) {
          const float* zs = z + row * d + spec.begin[s];
          float* qs = q + row * d + spec.begin[s];
          const std::int64_t size = spec.begin[s + 1] - spec.begin[s];
          float top = zs[0], sum = 0;
          for (std::int64_t i = 1; i < size; ++i) top = std::max(top, zs[i]);
#pragma omp simd reduction(+ : sum)
          for (std::int64_t i = 0; i < size; ++i) {
            qs[i] = std::exp((zs[i] - top) * inverse);
            sum += qs[i];
          }
          const float factor = 1 / sum;
#pragma omp simd
          for (std::int64_t i = 0; i < size; ++i) qs[i] *= factor;
        }
    });
  });
}

std::unique_ptr<Kernel> make_segment_softmax_backward(const KernelRequest& r,
                                                      SegmentSoftmaxSpec spec) {
  require_f32(r, "segment_softmax_backward");
  const std::int64_t m = r.in[0].shape[0], d = r.in[0].shape[1];
  return function_kernel([=](const KernelArgs& args) {
    const float* dq = args.in[0].f32();
    const float* q = args.in[1].f32();
    float* dz = args.out[0].f32();
    const float inverse = static_cast<float>(1 / spec.temperature);
    parallel_ranges(m, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row)
        for (std::size_t s = 0; s + 1 < spec.begin.size(); ++s) {
          const std::int64_t at = row * d + spec.begin[s];
          const std::int64_t size = spec.begin[s + 1] - spec.begin[s];
          float dot = 0;
#pragma omp simd reduction(+ : dot)
          for (std::int64_t i = 0; i < size; ++i) dot += dq[at + i] * q[at + i];
#pragma omp simd
          for (std::int64_t i = 0; i < size; ++i)
            dz[at + i] = q[at + i] * (dq[at + i] - dot) * inverse;
        }
    });
  });
}

}  // namespace music::cpu
