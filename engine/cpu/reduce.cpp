#include "engine/ops/reduce.h"

#include <vector>

#include "engine/cpu/elementwise.h"

namespace music::cpu {
namespace {

class ReduceForward final : public Kernel {
 public:
  ReduceForward(std::int64_t n, ReduceKind kind) : n_(n), kind_(kind) {}
  std::size_t workspace_bytes() const override {
    return static_cast<std::size_t>(blocks()) * sizeof(double);
  }
  void run(const KernelArgs& args) override {
    const float* x = args.in[0].f32();
    auto* partial = static_cast<double*>(args.workspace);
    const std::int64_t count = blocks();
#pragma omp parallel for schedule(static)
    for (std::int64_t b = 0; b < count; ++b) {
      const std::int64_t end = std::min(n_, (b + 1) * kElementGrain);
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::int64_t i = b * kElementGrain; i < end; ++i) sum += x[i];
      partial[b] = sum;
    }
    double sum = 0;
    for (std::int64_t b = 0; b < count; ++b) sum += partial[b];
    if (kind_ == ReduceKind::kMean) sum /= static_cast<double>(n_);
    args.out[0].f32()[0] = static_cast<float>(sum);
  }

 private:
  std::int64_t blocks() const { return (n_ + kElementGrain - 1) / kElementGrain; }
  std::int64_t n_;
  ReduceKind kind_;
};

}  // namespace

std::unique_ptr<Kernel> make_reduce_forward(const KernelRequest& r,
                                            ReduceKind kind) {
  require_f32(r, "reduce");
  return std::make_unique<ReduceForward>(r.in[0].shape.elements(), kind);
}

std::unique_ptr<Kernel> make_reduce_backward(const KernelRequest& r,
                                             ReduceKind kind) {
  require_f32(r, "reduce_backward");
  const std::int64_t n = r.out[0].shape.elements();
  const float factor =
      kind == ReduceKind::kMean ? 1.0f / static_cast<float>(n) : 1.0f;
  return function_kernel([n, factor](const KernelArgs& args) {
    const float d = args.in[0].f32()[0] * factor;
    float* dx = args.out[0].f32();
    for_elements(n, [=](std::int64_t i) { dx[i] = d; });
  });
}

}  // namespace music::cpu
