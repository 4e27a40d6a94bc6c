#include "engine/ops/relu.h"

#include "engine/cuda/elements.h"
#include "engine/cuda/launch.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {
namespace {

template <typename T>
__global__ void relu_forward(const T* x, T* y, std::int64_t n) {
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x * kPack;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x) *
                        kPack;
       i < n; i += stride) {
    float v[kPack];
    load_tail(x, i, n, v);
#pragma unroll
    for (int j = 0; j < kPack; ++j) v[j] = v[j] < 0 ? 0.0f : v[j];
    store_tail(y, i, n, v);
  }
}

template <typename T>
__global__ void relu_backward(const T* dy, const T* y, T* dx, std::int64_t n) {
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x * kPack;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x) *
                        kPack;
       i < n; i += stride) {
    float d[kPack], v[kPack];
    load_tail(dy, i, n, d);
    load_tail(y, i, n, v);
#pragma unroll
    for (int j = 0; j < kPack; ++j) d[j] = v[j] > 0 ? d[j] : 0.0f;
    store_tail(dx, i, n, d);
  }
}

}  // namespace

std::unique_ptr<Kernel> make_relu_forward(const KernelRequest& r) {
  const std::int64_t n = r.out[0].shape.elements();
  std::unique_ptr<Kernel> kernel;
  with_real_type(r.in[0].dtype, "relu", [&]<typename T>(T) {
    kernel = function_kernel([n](const KernelArgs& args) {
      launch(relu_forward<T>, grid_stride(ceil_div(n, kPack)), args.stream,
             static_cast<const T*>(args.in[0].data),
             static_cast<T*>(args.out[0].data), n);
    });
  });
  return kernel;
}

std::unique_ptr<Kernel> make_relu_backward(const KernelRequest& r) {
  const std::int64_t n = r.out[0].shape.elements();
  std::unique_ptr<Kernel> kernel;
  with_real_type(r.in[0].dtype, "relu_backward", [&]<typename T>(T) {
    kernel = function_kernel([n](const KernelArgs& args) {
      launch(relu_backward<T>, grid_stride(ceil_div(n, kPack)), args.stream,
             static_cast<const T*>(args.in[0].data),
             static_cast<const T*>(args.in[1].data),
             static_cast<T*>(args.out[0].data), n);
    });
  });
  return kernel;
}

}  // namespace music::cuda
