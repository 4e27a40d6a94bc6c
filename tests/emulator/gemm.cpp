// engine/cuda/gemm.h on the emulated device: plain loops, sums in double.

#include "engine/cuda/gemm.h"

#include <cstring>

#include "engine/core/half.h"
#include "tests/emulator/reals.h"

namespace music::cuda {

struct Gemm::Body {
  GemmSpec spec;
};

Gemm::Gemm(const GemmSpec& spec) : body_(std::make_unique<Body>(spec)) {
  check_gemm(spec);
}
Gemm::Gemm(Gemm&&) noexcept = default;
Gemm& Gemm::operator=(Gemm&&) noexcept = default;
Gemm::~Gemm() = default;

// Overwritten before and after each run, as the library might.
constexpr std::size_t kWorkspace = 300;
std::size_t Gemm::workspace_bytes() const { return kWorkspace; }

void Gemm::run(const void* a, const void* b, void* c, const void* bias,
               float alpha, float beta, void* workspace,
               void* stream) const {
  const GemmSpec s = body_->spec;
  check_gemm(s, a, b, c, bias);
  const auto work = [=] {
    std::memset(workspace, 0xFF, kWorkspace);
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
        if (s.bias) sum += emulator::real(bias, s.output, j);
        emulator::set_real(c, s.output, at, sum);
      }
    std::memset(workspace, 0xFF, kWorkspace);
  };
  MUSIC_CHECK(emulator::queue(static_cast<emulator::Stream*>(stream), work),
              "[gemm] the default stream during a capture");
}

}  // namespace music::cuda
