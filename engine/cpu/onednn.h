#pragma once
// oneDNN (API v2) for the CPU bodies: one engine and stream a process, raw
// pointers wrapped on the fly, its errors as ours.

#include <omp.h>

#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

#include "engine/core/error.h"
#include "engine/core/shape.h"

namespace music::cpu {

inline dnnl::engine& onednn_engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}
inline dnnl::stream& onednn_stream() {
  static dnnl::stream stream(onednn_engine());
  return stream;
}

// Runs fn and turns dnnl::error into Error, naming the op.
template <typename F>
auto onednn_guard(const char* op, F&& fn) {
  try {
    return fn();
  } catch (const dnnl::error& e) {
    throw error(ExitCode::kInternal, "[{}] oneDNN: {} (status {})", op,
                e.message, static_cast<int>(e.status));
  }
}

// C[M,N] (row-major, ldc) = alpha op(A) op(B) + beta C. Threaded by OpenMP;
// serial when called inside a parallel region.
inline void sgemm(bool transpose_a, bool transpose_b, std::int64_t m,
                  std::int64_t n, std::int64_t k, float alpha, const float* a,
                  std::int64_t lda, const float* b, std::int64_t ldb,
                  float beta, float* c, std::int64_t ldc) {
  const dnnl_status_t status =
      dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k,
                 alpha, a, lda, b, ldb, beta, c, ldc);
  MUSIC_CHECK(status == dnnl_success, "[sgemm] oneDNN status {} for {}x{}x{}",
              static_cast<int>(status), m, n, k);
}

}  // namespace music::cpu
