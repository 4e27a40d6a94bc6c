#pragma once
// What bench_conv measures, and the part of it that calls cuDNN's graph API:
// bench_conv_graph.cpp, or bench_conv_no_graph.cpp where its headers
// (cudnn-frontend) are not there.

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "engine/core/buffer.h"
#include "engine/core/device_runtime.h"
#include "engine/cuda/convolution.h"

namespace music {

// A pass of one convolution, with what a training step does before and behind
// it: fused, that is neither written to memory nor read from it.
enum class ConvWork {
  kForward,
  kBackwardData,
  kBackwardWeights,
  kForwardSums,       // and the sums of batch norm of the result
  kApplyForwardSums,  // the same of an input that batch norm and ReLU apply to
  kBackwardDataSums,  // and ReLU's gradient, and batch norm's sums of it
  kApplyBackwardWeights,
};

// Device memory of every convolution: filled with random numbers once.
struct ConvMemory {
  Buffer a, b, c, d;  // each holds the largest tensor
  Buffer channels;    // per-channel vectors of F32, kMostChannels apart
  cuda::Stream stream;

  static constexpr std::int64_t kMostChannels = 4096, kVectors = 16;
  ConvMemory(std::size_t largest, DType dtype);
};

// Microseconds of what `enqueue` queues on the stream; the best of several
// means. Negative when it answered false.
double time_on(const cuda::Stream& stream,
               const std::function<bool()>& enqueue);

struct ConvFigure {
  double us = -1;            // negative: not to be had
  std::string plan;          // the fastest one, or why there is none
  int timed = 0, plans = 0;  // of how many
};

// cuDNN's graph API. Not there: why() says so and measure() may not be called.
class ConvGraphs {
 public:
  explicit ConvGraphs(ConvMemory& memory);
  ~ConvGraphs();
  static std::string why_not();
  // Times up to `plans` plans, in the order in which the library advises them,
  // and begins none after `seconds`.
  ConvFigure measure(const cuda::ConvolutionProblem& problem, ConvWork work,
                     int plans, double seconds);

 private:
  struct Body;
  std::unique_ptr<Body> body_;
};

}  // namespace music
