#include "engine/ops/relu.h"

#include "engine/cuda/elementwise.h"

namespace music::cuda {
namespace {

struct Relu {
  __device__ float operator()(float x) const { return x < 0 ? 0.0f : x; }
};

struct ReluBackward {
  __device__ float operator()(float dy, float y) const {
    return y > 0 ? dy : 0.0f;
  }
};

}  // namespace

std::unique_ptr<Kernel> make_relu_forward(const KernelRequest& r) {
  return elementwise_kernel<1>(r, "relu",
                               [](const KernelArgs&) { return Relu{}; });
}

std::unique_ptr<Kernel> make_relu_backward(const KernelRequest& r) {
  return elementwise_kernel<2>(r, "relu_backward", [](const KernelArgs&) {
    return ReluBackward{};
  });
}

}  // namespace music::cuda
