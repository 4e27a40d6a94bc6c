#pragma once
// Convolution on the GPU (cuDNN): the three passes behind one thin wrapper.
// Deterministic algorithms only. Tests compile a plain body in place of
// convolution.cpp (tests/emulator).

#include <cstddef>
#include <memory>

#include "engine/core/dtype.h"
#include "engine/core/shape.h"
#include "engine/ops/conv2d.h"

namespace music::cuda {

enum class ConvolutionPass { kForward, kBackwardData, kBackwardWeights };

struct ConvolutionProblem {
  Shape x, w, y;  // [N,H,W,C], [K,R,S,C], [N,Ho,Wo,K], packed
  Conv2dSpec spec;
  DType dtype = DType::kF32;  // of all three; sums are fp32
};

class Convolution {
 public:
  // Chooses an algorithm: by timing those that fit, on random data, or by the
  // library's advice with MUSIC_TUNE=0 (then the same in every process, so runs
  // repeat to the bit) or where memory is short. kUsage when there is none.
  Convolution(const ConvolutionProblem& problem, ConvolutionPass pass);
  Convolution(Convolution&&) noexcept;
  Convolution& operator=(Convolution&&) noexcept;
  ~Convolution();
  std::size_t workspace_bytes() const;
  // forward: x, w -> y; backward data: dy, w -> dx; weights: x, dy -> dw.
  void run(const void* a, const void* b, void* out, void* workspace,
           void* stream) const;

 private:
  struct Body;
  std::unique_ptr<Body> body_;
};

}  // namespace music::cuda
