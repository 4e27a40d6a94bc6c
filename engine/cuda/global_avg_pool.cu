#include "engine/ops/global_avg_pool.h"

#include "engine/cuda/divider.h"
#include "engine/cuda/elements.h"
#include "engine/cuda/launch.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {
namespace {

// A block an image; a thread adds up kWidth channels.
template <int kWidth, typename T>
__global__ void pool_forward(const T* x, T* y, int area, int channels) {
  const float factor = 1.0f / static_cast<float>(area);
  const T* image = x + std::int64_t{blockIdx.x} * area * channels;
  for (int c = static_cast<int>(threadIdx.x) * kWidth; c < channels;
       c += static_cast<int>(blockDim.x) * kWidth) {
    float sum[kWidth] = {};
#pragma unroll 4
    for (int p = 0; p < area; ++p) {
      float v[kWidth];
      load_elements(image + std::int64_t{p} * channels + c, v);
#pragma unroll
      for (int j = 0; j < kWidth; ++j) sum[j] += v[j];
    }
#pragma unroll
    for (int j = 0; j < kWidth; ++j) sum[j] *= factor;
    store_elements(y + std::int64_t{blockIdx.x} * channels + c, sum);
  }
}

// A block a row of pixels.
template <int kWidth, typename T>
__global__ void pool_backward(const T* dy, T* dx, int h, int w, int channels,
                              Divider by_packs) {
  const float factor = 1.0f / static_cast<float>(h * w);
  const int packs = channels / kWidth;
  const T* d = dy + std::int64_t{blockIdx.x / static_cast<unsigned>(h)} *
                        channels;
  T* row = dx + std::int64_t{blockIdx.x} * w * channels;
  for (int i = static_cast<int>(threadIdx.x); i < w * packs;
       i += static_cast<int>(blockDim.x)) {
    float v[kWidth];
    load_elements(d + (i - by_packs(i) * packs) * kWidth, v);
#pragma unroll
    for (int j = 0; j < kWidth; ++j) v[j] *= factor;
    store_elements(row + std::int64_t{i} * kWidth, v);
  }
}

}  // namespace

std::unique_ptr<Kernel> make_global_avg_pool_forward(const KernelRequest& r) {
  const Shape s = r.in[0].shape;
  const int area = static_cast<int>(s[1] * s[2]), c = static_cast<int>(s[3]);
  std::unique_ptr<Kernel> kernel;
  with_channel_packs(
      r.in[0].dtype, c, "global_avg_pool",
      [&]<typename T, int kWidth>(T, std::integral_constant<int, kWidth>) {
        const LaunchShape shape = block_per_row(s[0], c / kWidth);
        kernel = function_kernel([=](const KernelArgs& args) {
          launch(pool_forward<kWidth, T>, shape, args.stream,
                 static_cast<const T*>(args.in[0].data),
                 static_cast<T*>(args.out[0].data), area, c);
        });
      });
  return kernel;
}

std::unique_ptr<Kernel> make_global_avg_pool_backward(const KernelRequest& r) {
  const Shape s = r.out[0].shape;
  const int h = static_cast<int>(s[1]), w = static_cast<int>(s[2]);
  const int c = static_cast<int>(s[3]);
  std::unique_ptr<Kernel> kernel;
  with_channel_packs(
      r.out[0].dtype, c, "global_avg_pool_backward",
      [&]<typename T, int kWidth>(T, std::integral_constant<int, kWidth>) {
        const LaunchShape shape = block_per_row(s[0] * h, w * (c / kWidth));
        const Divider by_packs(c / kWidth, w * (c / kWidth));
        kernel = function_kernel([=](const KernelArgs& args) {
          launch(pool_backward<kWidth, T>, shape, args.stream,
                 static_cast<const T*>(args.in[0].data),
                 static_cast<T*>(args.out[0].data), h, w, c, by_packs);
        });
      });
  return kernel;
}

}  // namespace music::cuda
