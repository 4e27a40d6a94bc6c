#include "engine/ops/image_normalize.h"

#include "engine/cuda/elements.h"
#include "engine/cuda/launch.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {
namespace {

// y = x * scale + shift of each channel.
struct Affine {
  float scale[3], shift[3];
  __device__ float operator()(std::uint8_t x, int channel) const {
    return static_cast<float>(x) * scale[channel] + shift[channel];
  }
};

// Three channels: the pixels as one row of values, eight a thread.
template <typename T>
__global__ void normalize3(const std::uint8_t* x, T* y, std::int64_t n,
                           Affine f) {
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x * kPack;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x) *
                        kPack;
       i < n; i += stride) {
    std::uint32_t bytes[2] = {};
    if (i + kPack <= n) {
      const uint2 words = *reinterpret_cast<const uint2*>(x + i);
      bytes[0] = words.x, bytes[1] = words.y;
    } else {
#pragma unroll
      for (int j = 0; j < kPack; ++j)
        if (i + j < n) bytes[j / 4] |= std::uint32_t{x[i + j]} << j % 4 * 8;
    }
    // The coefficients in the order in which this pack meets the channels.
    const int first = static_cast<int>(i % 3);
    Affine turned;
#pragma unroll
    for (int c = 0; c < 3; ++c) {
      const bool one = first == 1, two = first == 2;
      const int c1 = (c + 1) % 3, c2 = (c + 2) % 3;
      turned.scale[c] = one ? f.scale[c1] : two ? f.scale[c2] : f.scale[c];
      turned.shift[c] = one ? f.shift[c1] : two ? f.shift[c2] : f.shift[c];
    }
    float v[kPack];
#pragma unroll
    for (int j = 0; j < kPack; ++j)
      v[j] = turned(static_cast<std::uint8_t>(bytes[j / 4] >> j % 4 * 8), j % 3);
    store_tail(y, i, n, v);
  }
}

__device__ inline void store_pixel(float* y, float a, float b, float c) {
  *reinterpret_cast<float4*>(y) = {a, b, c, 0.0f};
}
template <typename T>  // of 16 bits
__device__ inline void store_pixel(T* y, float a, float b, float c) {
  const auto bits = [](float v) -> std::uint32_t {
    return from_real<T>(v).bits;
  };
  *reinterpret_cast<uint2*>(y) = {bits(a) | bits(b) << 16, bits(c)};
}

// Four channels: a pixel is one store. A thread takes kPixels that are a block
// apart, so that their loads are under way together and stores lie side by side.
constexpr int kPixels = 4;

template <typename T>
__global__ void normalize4(const std::uint8_t* x, T* y, std::int64_t pixels,
                           Affine f) {
  const std::int64_t chunk = std::int64_t{blockDim.x} * kPixels;
  for (std::int64_t start = blockIdx.x * chunk; start < pixels;
       start += gridDim.x * chunk) {
    std::uint8_t p[kPixels][3] = {};
#pragma unroll
    for (int k = 0; k < kPixels; ++k) {
      const std::int64_t i = start + k * blockDim.x + threadIdx.x;
      if (i >= pixels) continue;
#pragma unroll
      for (int c = 0; c < 3; ++c) p[k][c] = __ldg(x + 3 * i + c);
    }
#pragma unroll
    for (int k = 0; k < kPixels; ++k) {
      const std::int64_t i = start + k * blockDim.x + threadIdx.x;
      if (i < pixels)
        store_pixel(y + 4 * i, f(p[k][0], 0), f(p[k][1], 1), f(p[k][2], 2));
    }
  }
}

}  // namespace

std::unique_ptr<Kernel> make_image_normalize(const KernelRequest& r,
                                             ImageNormalizeSpec spec) {
  const std::int64_t values = r.in[0].shape.elements(), pixels = values / 3;
  Affine f{};
  for (std::size_t c = 0; c < 3; ++c)
    f.scale[c] = spec.scale(c), f.shift[c] = spec.shift(c);
  std::unique_ptr<Kernel> kernel;
  with_real_type(spec.dtype, "image_normalize", [&]<typename T>(T) {
    kernel = function_kernel([=](const KernelArgs& args) {
      const auto* x = args.in[0].as<std::uint8_t>();
      auto* y = static_cast<T*>(args.out[0].data);
      if (spec.channels == 3)
        launch(normalize3<T>, grid_stride(ceil_div(values, kPack)), args.stream,
               x, y, values, f);
      else
        launch(normalize4<T>, grid_stride(ceil_div(pixels, kPixels)),
               args.stream, x, y, pixels, f);
    });
  });
  return kernel;
}

}  // namespace music::cuda
