#pragma once
// Matrix product on the GPU (cuBLASLt), prepared once and run many times:
//   C[m,n] = alpha op(A)[m,k] op(B)[k,n] + beta C + bias[n] on every row
// row-major, leading dimensions in elements. Products are accumulated in fp32;
// fp32 inputs are multiplied as fp32 (no TF32); the library's own choice of
// algorithm, the same bits each run. Tests compile a plain body in place of
// gemm.cpp (tests/emulator).

#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/core/dtype.h"
#include "engine/core/error.h"

namespace music::cuda {

struct GemmSpec {
  std::int64_t m = 0, n = 0, k = 0;
  std::int64_t lda = 0, ldb = 0, ldc = 0;
  bool transpose_a = false, transpose_b = false;
  DType input = DType::kF32;   // of A and B: F32, F16 or BF16
  DType output = DType::kF32;  // of C and the bias: F32, or that of the input
  bool bias = false;
  // Bytes that the pointers to A, B and C are multiples of, a power of two;
  // less than 16 where one is to a column inside a matrix. What their rows are
  // multiples of follows from the leading dimensions.
  int alignment = 16;
};
constexpr int kBiasAlignment = 16;

// kInternal unless the sizes make sense: every row fits its leading dimension.
inline void check_gemm(const GemmSpec& s) {
  MUSIC_CHECK(s.m > 0 && s.n > 0 && s.k > 0 &&
                  s.alignment > 0 && s.lda >= (s.transpose_a ? s.m : s.k) &&
                  s.ldb >= (s.transpose_b ? s.k : s.n) && s.ldc >= s.n,
              "[gemm] {}x{}x{} with leading dimensions {}, {}, {}", s.m, s.n,
              s.k, s.lda, s.ldb, s.ldc);
  MUSIC_CHECK((s.input == DType::kF32 || s.input == DType::kF16 ||
               s.input == DType::kBF16) &&
                  (s.output == DType::kF32 || s.output == s.input),
              "[gemm] {} from {}", name_of(s.output), name_of(s.input));
}
// The same of the pointers of one run.
inline void check_gemm(const GemmSpec& s, const void* a, const void* b,
                       const void* c, const void* bias) {
  const auto fits = [](const void* p, int alignment) {
    return reinterpret_cast<std::uintptr_t>(p) %
               static_cast<std::uintptr_t>(alignment) == 0;
  };
  MUSIC_CHECK(fits(a, s.alignment) && fits(b, s.alignment) &&
                  fits(c, s.alignment) && fits(bias, kBiasAlignment),
              "[gemm] pointers {}, {}, {}, bias {}: expected multiples of {}, "
              "bias of {}", a, b, c, bias, s.alignment, kBiasAlignment);
  MUSIC_CHECK(s.bias == (bias != nullptr), "[gemm] bias is {}, expected {}",
              bias ? "given" : "null", s.bias ? "one" : "null");
}

class Gemm {
 public:
  // kUsage when the library has no algorithm for it.
  explicit Gemm(const GemmSpec& spec);
  Gemm(Gemm&&) noexcept;
  Gemm& operator=(Gemm&&) noexcept;
  ~Gemm();
  std::size_t workspace_bytes() const;
  // Pointers into device memory; bias is null unless spec.bias. The workspace
  // is aligned to 256 bytes.
  void run(const void* a, const void* b, void* c, const void* bias, float alpha,
           float beta, void* workspace, void* stream) const;

 private:
  struct Body;
  std::unique_ptr<Body> body_;
};

}  // namespace music::cuda
