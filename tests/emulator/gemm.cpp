// engine/cuda/gemm.h on the emulated device: plain loops, sums in double.

#include "engine/cuda/gemm.h"

#include "engine/core/half.h"
#include "engine/core/error.h"
#include "tests/emulator/reals.h"

namespace music::cuda {

struct Gemm::Body {
  GemmSpec spec;
};

Gemm::Gemm(const GemmSpec& spec) : body_(std::make_unique<Body>(spec)) {
  MUSIC_CHECK(spec.output == DType::kF32 || spec.output == spec.input,
              "[gemm] {} from {}", name_of(spec.output), name_of(spec.input));
}
Gemm::Gemm(Gemm&&) noexcept = default;
Gemm& Gemm::operator=(Gemm&&) noexcept = default;
Gemm::~Gemm() = default;

std::size_t Gemm::workspace_bytes() const { return 0; }

void Gemm::run(const void* a, const void* b, void* c, const void* bias,
               float alpha, float beta, void*, void* stream) const {
  const GemmSpec s = body_->spec;
  const auto work = [=] {
    for (std::int64_t i = 0; i < s.m; ++i)
      for (std::int64_t j = 0; j < s.n; ++j) {
        double sum = 0;
        for (std::int64_t l = 0; l < s.k; ++l)
          sum += emulator::real(a, s.input,
                                s.transpose_a ? l * s.lda + i : i * s.lda + l) *
                 emulator::real(b, s.input,
                                s.transpose_b ? j * s.ldb + l : l * s.ldb + j);
        sum *= static_cast<double>(alpha);
        const std::int64_t at = i * s.ldc + j;
        // As BLAS: C is not read when beta is 0.
        if (beta != 0)
          sum += static_cast<double>(beta) * emulator::real(c, s.output, at);
        if (s.bias) sum += emulator::real(bias, s.input, j);
        emulator::set_real(c, s.output, at, sum);
      }
  };
  MUSIC_CHECK(emulator::queue(static_cast<emulator::Stream*>(stream), work),
              "[gemm] the default stream during a capture");
}

}  // namespace music::cuda
