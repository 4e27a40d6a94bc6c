#pragma once
// Shared by the elementwise CPU bodies.

#include "engine/cpu/parallel.h"
#include "engine/ops/function_kernel.h"

namespace music::cpu {

// Elements a thread takes at least: below, starting a team costs more.
constexpr std::int64_t kElementGrain = 16384;

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
