#pragma once
// Matrix product on the GPU (cuBLASLt), prepared once and run many times:
//   C[m,n] = alpha op(A)[m,k] op(B)[k,n] + beta C + bias[n] on every row
// row-major, leading dimensions in elements. Products are accumulated in fp32;
// fp32 inputs are multiplied as fp32 (no TF32). Tests compile a plain body in
// place of gemm.cpp (tests/emulator).

#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/core/dtype.h"

namespace music::cuda {

struct GemmSpec {
  std::int64_t m = 0, n = 0, k = 0;
  std::int64_t lda = 0, ldb = 0, ldc = 0;
  bool transpose_a = false, transpose_b = false;
  DType input = DType::kF32;   // of A, B and the bias: F32, F16 or BF16
  DType output = DType::kF32;  // of C: F32, or that of the input
  bool bias = false;
};

class Gemm {
 public:
  // kUsage when the library has no algorithm for it.
  explicit Gemm(const GemmSpec& spec);
  Gemm(Gemm&&) noexcept;
  Gemm& operator=(Gemm&&) noexcept;
  ~Gemm();
  std::size_t workspace_bytes() const;
  // Pointers into device memory, aligned to 16 bytes where the sizes allow it;
  // bias is null unless spec.bias.
  void run(const void* a, const void* b, void* c, const void* bias, float alpha,
           float beta, void* workspace, void* stream) const;

 private:
  struct Body;
  std::unique_ptr<Body> body_;
};

}  // namespace music::cuda
