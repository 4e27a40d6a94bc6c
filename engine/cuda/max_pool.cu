#include "engine/ops/max_pool.h"

#include "engine/cuda/divider.h"
#include "engine/cuda/elements.h"
#include "engine/cuda/launch.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {
namespace {

struct Geometry {
  int h, w, c, ho, wo, size, stride, pad;
  Divider by_packs, by_stride;
};

struct Range {
  int begin, end;
};

// The places of a window that begins at `first` and lie in [0, n).
__device__ inline Range inside(int first, int size, int n) {
  return {first < 0 ? -first : 0, first + size > n ? n - first : size};
}

// The windows, of `count`, that cover place i of an axis.
__device__ inline Range covering(const Geometry& g, int i, int count) {
  const int last = g.by_stride(i + g.pad), before = i + g.pad - g.size;
  return {before < 0 ? 0 : g.by_stride(before) + 1,
          last < count ? last + 1 : count};
}

// One byte each, at an address aligned to 8 bytes where there are eight.
template <int kWidth>
__device__ inline void store_bytes(std::uint8_t* p,
                                   const std::uint32_t (&v)[kWidth]) {
  if constexpr (kWidth == kPack)
    *reinterpret_cast<uint2*>(p) = {v[0] | v[1] << 8 | v[2] << 16 | v[3] << 24,
                                    v[4] | v[5] << 8 | v[6] << 16 | v[7] << 24};
  else
    *p = static_cast<std::uint8_t>(v[0]);
}
template <int kWidth>
__device__ inline void load_bytes(const std::uint8_t* p,
                                  std::uint32_t (&v)[kWidth]) {
  if constexpr (kWidth == kPack) {
    const uint2 words = *reinterpret_cast<const uint2*>(p);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      v[j] = words.x >> 8 * j & 0xFF;
      v[j + 4] = words.y >> 8 * j & 0xFF;
    }
  } else {
    v[0] = *p;
  }
}

// A block a row of outputs; a thread takes kWidth channels of one.
template <int kWidth, typename T>
__global__ void pool_forward(const T* x, T* y, std::uint8_t* winner,
                             Geometry g) {
  const int packs = g.c / kWidth;
  const auto image = blockIdx.x / static_cast<unsigned>(g.ho);
  const int oy = static_cast<int>(blockIdx.x - image * g.ho);
  const int top = oy * g.stride - g.pad;
  const Range rows = inside(top, g.size, g.h);
  for (int item = static_cast<int>(threadIdx.x); item < g.wo * packs;
       item += static_cast<int>(blockDim.x)) {
    const int ox = g.by_packs(item), c = (item - ox * packs) * kWidth;
    const int left = ox * g.stride - g.pad;
    const Range columns = inside(left, g.size, g.w);
    float best[kWidth];
    std::uint32_t k_best[kWidth] = {};
#pragma unroll
    for (int j = 0; j < kWidth; ++j) best[j] = -INFINITY;
    for (int i = rows.begin; i < rows.end; ++i) {
      const T* from =
          x + ((std::int64_t{image} * g.h + top + i) * g.w + left) * g.c + c;
      for (int l = columns.begin; l < columns.end; ++l) {
        float v[kWidth];
        load_elements(from + l * g.c, v);
        const auto k = static_cast<std::uint32_t>(i * g.size + l);
#pragma unroll
        for (int j = 0; j < kWidth; ++j) {
          // NaN wins and stays, so that it is seen and not swallowed.
          const bool better = v[j] > best[j] || v[j] != v[j];
          best[j] = better ? v[j] : best[j];
          k_best[j] = better ? k : k_best[j];
        }
      }
    }
    const std::int64_t at =
        (std::int64_t{blockIdx.x} * g.wo + ox) * g.c + c;
    store_elements(y + at, best);
    store_bytes(winner + at, k_best);
  }
}

// A block a row of inputs: each gathers from the windows that cover it, in the
// order of the outputs.
template <int kWidth, typename T>
__global__ void pool_backward(const T* dy, const std::uint8_t* winner, T* dx,
                              Geometry g) {
  const int packs = g.c / kWidth;
  const auto image = blockIdx.x / static_cast<unsigned>(g.h);
  const int iy = static_cast<int>(blockIdx.x - image * g.h);
  const Range rows = covering(g, iy, g.ho);
  for (int item = static_cast<int>(threadIdx.x); item < g.w * packs;
       item += static_cast<int>(blockDim.x)) {
    const int ix = g.by_packs(item), c = (item - ix * packs) * kWidth;
    const Range columns = covering(g, ix, g.wo);
    float sum[kWidth] = {};
    for (int oy = rows.begin; oy < rows.end; ++oy)
      for (int ox = columns.begin; ox < columns.end; ++ox) {
        const std::int64_t at =
            ((std::int64_t{image} * g.ho + oy) * g.wo + ox) * g.c + c;
        const auto k = static_cast<std::uint32_t>(
            (iy + g.pad - oy * g.stride) * g.size + ix + g.pad - ox * g.stride);
        float d[kWidth];
        std::uint32_t won[kWidth];
        load_elements(dy + at, d);
        load_bytes(winner + at, won);
#pragma unroll
        for (int j = 0; j < kWidth; ++j) sum[j] += won[j] == k ? d[j] : 0.0f;
      }
    store_elements(dx + (std::int64_t{blockIdx.x} * g.w + ix) * g.c + c, sum);
  }
}

// x: input of the forward pass, y: its output, packs: of channels in a pixel.
Geometry geometry(const Shape& x, const Shape& y, const MaxPoolSpec& s,
                  std::int64_t packs) {
  const auto narrow = [](std::int64_t v) { return static_cast<int>(v); };
  return {narrow(x[1]), narrow(x[2]), narrow(x[3]), narrow(y[1]),
          narrow(y[2]), s.size,       s.stride,     s.pad,
          Divider(packs, std::max(x[2], y[2]) * packs),
          Divider(s.stride, std::max(x[1], x[2]) + s.pad)};
}

}  // namespace

std::unique_ptr<Kernel> make_max_pool_forward(const KernelRequest& r,
                                              MaxPoolSpec spec) {
  const Shape x = r.in[0].shape, y = r.out[0].shape;
  std::unique_ptr<Kernel> kernel;
  with_channel_packs(
      r.in[0].dtype, x[3], "max_pool",
      [&]<typename T, int kWidth>(T, std::integral_constant<int, kWidth>) {
        const std::int64_t packs = x[3] / kWidth;
        const LaunchShape shape = block_per_row(y[0] * y[1], y[2] * packs);
        const Geometry g = geometry(x, y, spec, packs);
        kernel = function_kernel([=](const KernelArgs& args) {
          launch(pool_forward<kWidth, T>, shape, args.stream,
                 static_cast<const T*>(args.in[0].data),
                 static_cast<T*>(args.out[0].data),
                 args.out[1].as<std::uint8_t>(), g);
        });
      });
  return kernel;
}

std::unique_ptr<Kernel> make_max_pool_backward(const KernelRequest& r,
                                               MaxPoolSpec spec) {
  const Shape x = r.out[0].shape, y = r.in[0].shape;
  std::unique_ptr<Kernel> kernel;
  with_channel_packs(
      r.out[0].dtype, x[3], "max_pool_backward",
      [&]<typename T, int kWidth>(T, std::integral_constant<int, kWidth>) {
        const std::int64_t packs = x[3] / kWidth;
        const LaunchShape shape = block_per_row(x[0] * x[1], x[2] * packs);
        const Geometry g = geometry(x, y, spec, packs);
        kernel = function_kernel([=](const KernelArgs& args) {
          launch(pool_backward<kWidth, T>, shape, args.stream,
                 static_cast<const T*>(args.in[0].data),
                 args.in[1].as<std::uint8_t>(),
                 static_cast<T*>(args.out[0].data), g);
        });
      });
  return kernel;
}

}  // namespace music::cuda
