// engine/cuda/convolution.h on the emulated device: plain loops, sums in
// double, rounded once.

#include "engine/cuda/convolution.h"

#include <cstring>
#include <vector>

#include "engine/core/error.h"
#include "tests/emulator/reals.h"

namespace music::cuda {

struct Convolution::Body {
  ConvolutionProblem problem;
  ConvolutionPass pass;

  // Calls fn(index into x, into w, into y) for every product of the forward
  // pass.
  template <typename F>
  void for_products(F&& fn) const {
    const auto& [x, w, y, spec, dtype] = problem;
    const std::int64_t c = x[3];
    for (std::int64_t n = 0; n < y[0]; ++n)
      for (std::int64_t oh = 0; oh < y[1]; ++oh)
        for (std::int64_t ow = 0; ow < y[2]; ++ow)
          for (std::int64_t r = 0; r < w[1]; ++r)
            for (std::int64_t s = 0; s < w[2]; ++s) {
              const std::int64_t h = oh * spec.stride - spec.pad + r;
              const std::int64_t v = ow * spec.stride - spec.pad + s;
              if (h < 0 || h >= x[1] || v < 0 || v >= x[2]) continue;
              const std::int64_t from = ((n * x[1] + h) * x[2] + v) * c;
              const std::int64_t to = ((n * y[1] + oh) * y[2] + ow) * y[3];
              for (std::int64_t k = 0; k < y[3]; ++k)
                for (std::int64_t i = 0; i < c; ++i)
                  fn(from + i, ((k * w[1] + r) * w[2] + s) * c + i, to + k);
            }
  }
};

Convolution::Convolution(const ConvolutionProblem& problem,
                         ConvolutionPass pass)
    : body_(std::make_unique<Body>(problem, pass)) {
  MUSIC_CHECK(problem.x[3] == problem.w[3], "[convolution] input {}, weight {}",
              problem.x.str(), problem.w.str());
}
Convolution::Convolution(Convolution&&) noexcept = default;
Convolution& Convolution::operator=(Convolution&&) noexcept = default;
Convolution::~Convolution() = default;

// Overwritten before and after each run, as the library might.
constexpr std::size_t kWorkspace = 300;
std::size_t Convolution::workspace_bytes() const { return kWorkspace; }

void Convolution::run(const void* a, const void* b, void* out,
                      void* workspace, void* stream) const {
  const Body body = *body_;
  const auto work = [=] {
    std::memset(workspace, 0xFF, kWorkspace);
    const auto& p = body.problem;
    const Shape& result = body.pass == ConvolutionPass::kForward        ? p.y
                          : body.pass == ConvolutionPass::kBackwardData ? p.x
                                                                        : p.w;
    std::vector<double> sum(static_cast<std::size_t>(result.elements()));
    const auto of = [&](const void* data, std::int64_t i) {
      return emulator::real(data, p.dtype, i);
    };
    body.for_products([&](std::int64_t x, std::int64_t w, std::int64_t y) {
      switch (body.pass) {
        case ConvolutionPass::kForward:
          sum[static_cast<std::size_t>(y)] += of(a, x) * of(b, w);
          break;
        case ConvolutionPass::kBackwardData:
          sum[static_cast<std::size_t>(x)] += of(a, y) * of(b, w);
          break;
        case ConvolutionPass::kBackwardWeights:
          sum[static_cast<std::size_t>(w)] += of(a, x) * of(b, y);
          break;
      }
    });
    for (std::size_t i = 0; i < sum.size(); ++i)
      emulator::set_real(out, p.dtype, static_cast<std::int64_t>(i), sum[i]);
    std::memset(workspace, 0xFF, kWorkspace);
  };
  MUSIC_CHECK(emulator::queue(static_cast<emulator::Stream*>(stream), work),
              "[convolution] the default stream during a capture");
}

}  // namespace music::cuda
