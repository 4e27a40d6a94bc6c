#pragma once
// Shared by the elementwise CPU bodies.

#include "engine/cpu/parallel.h"
#include "engine/ops/kernel.h"

namespace music::cpu {

// Elements a thread takes at least: below, starting a team costs more.
constexpr std::int64_t kElementGrain = 16384;

// A kernel made of one callable (const KernelArgs&).
template <typename F>
class FunctionKernel final : public Kernel {
 public:
  explicit FunctionKernel(F fn) : fn_(std::move(fn)) {}
  void run(const KernelArgs& args) override { fn_(args); }

 private:
  F fn_;
};

template <typename F>
std::unique_ptr<Kernel> function_kernel(F fn) {
  return std::make_unique<FunctionKernel<F>>(std::move(fn));
}

// fn(i) for every element of the first output, vectorised.
template <typename F>
void for_elements(std::int64_t n, F fn) {
  parallel_ranges(n, kElementGrain, [&](std::int64_t begin, std::int64_t end) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) fn(i);
  });
}

inline void require_f32(const KernelRequest& r, const char* op) {
  for (const auto* list : {&r.in, &r.out})
    for (const ValueInfo& v : *list)
      MUSIC_CHECK(v.dtype == DType::kF32, "[{}] the CPU runs F32, {} is {}", op,
                  v.name, name_of(v.dtype));
}

}  // namespace music::cpu
