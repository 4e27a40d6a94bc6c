// engine/cuda/convolution.h on the emulated device: plain loops, sums in
// double, rounded once.

#include "engine/cuda/convolution.h"

#include <cstring>
#include <utility>
#include <vector>

#include "engine/core/error.h"
#include "tests/emulator/reals.h"

namespace music::cuda {

struct Convolution::Body {
  ConvolutionProblem problem;
  ConvolutionPass pass;

  // Calls fn(x, w, y) for every pixel of a filter at every place of the forward
  // pass: offsets of the c channels of x, of w's [k,c] of that pixel, of the k
  // channels of y.
  template <typename F>
  void for_places(F&& fn) const {
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
              fn(((n * x[1] + h) * x[2] + v) * c,
                 (r * w[2] + s) * w[0] * c,
                 ((n * y[1] + oh) * y[2] + ow) * y[3]);
            }
  }
};

namespace {

std::vector<double> doubles(const void* data, DType dtype,
                            std::int64_t elements) {
  std::vector<double> v(static_cast<std::size_t>(elements));
  for (std::int64_t i = 0; i < elements; ++i)
    v[static_cast<std::size_t>(i)] = emulator::real(data, dtype, i);
  return v;
}

// Index into weights [K,R,S,C] of the ith of the order [R,S,K,C].
std::int64_t weight_at(const Shape& w, std::int64_t i) {
  const std::int64_t c = i % w[3], k = i / w[3] % w[0];
  return (k * w[1] * w[2] + i / w[3] / w[0]) * w[3] + c;
}

}  // namespace

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
    const Shape& left = body.pass == ConvolutionPass::kBackwardData ? p.y : p.x;
    const Shape& right =
        body.pass == ConvolutionPass::kBackwardWeights ? p.y : p.w;
    const auto left_values = doubles(a, p.dtype, left.elements());
    auto right_values = doubles(b, p.dtype, right.elements());
    if (body.pass != ConvolutionPass::kBackwardWeights) {
      std::vector<double> ordered(right_values.size());
      for (std::size_t i = 0; i < ordered.size(); ++i)
        ordered[i] = right_values[static_cast<std::size_t>(
            weight_at(p.w, static_cast<std::int64_t>(i)))];
      right_values = std::move(ordered);
    }
    std::vector<double> sums(static_cast<std::size_t>(result.elements()));
    const double *l = left_values.data(), *m = right_values.data();
    double* sum = sums.data();
    const std::int64_t channels = p.x[3], filters = p.y[3];
    body.for_places([&](std::int64_t x, std::int64_t w, std::int64_t y) {
      for (std::int64_t k = 0; k < filters; ++k)
        switch (body.pass) {
          case ConvolutionPass::kForward: {
            const double *u = l + x, *v = m + w + k * channels;
            double part = sum[y + k];
            for (std::int64_t i = 0; i < channels; ++i) part += u[i] * v[i];
            sum[y + k] = part;
            break;
          }
          case ConvolutionPass::kBackwardData: {
            const double u = l[y + k], *v = m + w + k * channels;
            for (std::int64_t i = 0; i < channels; ++i) sum[x + i] += u * v[i];
            break;
          }
          case ConvolutionPass::kBackwardWeights: {
            const double v = m[y + k], *u = l + x;
            for (std::int64_t i = 0; i < channels; ++i)
              sum[w + k * channels + i] += u[i] * v;
            break;
          }
        }
    });
    const bool weights = body.pass == ConvolutionPass::kBackwardWeights;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const auto at = static_cast<std::int64_t>(i);
      emulator::set_real(out, p.dtype, weights ? weight_at(p.w, at) : at,
                         sums[i]);
    }
    std::memset(workspace, 0xFF, kWorkspace);
  };
  MUSIC_CHECK(emulator::queue(static_cast<emulator::Stream*>(stream), work),
              "[convolution] the default stream during a capture");
}

}  // namespace music::cuda
