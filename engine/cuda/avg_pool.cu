#include "engine/ops/avg_pool.h"

#include "engine/cuda/divider.h"
#include "engine/cuda/elements.h"
#include "engine/cuda/launch.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {
namespace {

struct Geometry {
  int h, w, c;
  AvgPoolSpec::Axis rows, columns;
  float factor;
  Divider by_packs;
};

// Whether window o of an axis covers place i.
__device__ inline bool covers(const AvgPoolSpec::Axis& a, int o, int i) {
  return o * a.stride <= i && i < o * a.stride + a.size;
}

// A block a row of outputs; a thread takes kWidth channels of one.
template <int kWidth, typename T>
__global__ void pool_forward(const T* x, T* y, Geometry g) {
  const int packs = g.c / kWidth;
  const auto count = static_cast<unsigned>(g.rows.count);
  const auto image = blockIdx.x / count;
  const int top = static_cast<int>(blockIdx.x - image * count) * g.rows.stride;
  for (int item = static_cast<int>(threadIdx.x); item < g.columns.count * packs;
       item += static_cast<int>(blockDim.x)) {
    const int ox = g.by_packs(item), c = (item - ox * packs) * kWidth;
    const T* from =
        x + ((std::int64_t{image} * g.h + top) * g.w + ox * g.columns.stride) *
                g.c + c;
    float sum[kWidth] = {};
    for (int i = 0; i < g.rows.size; ++i)
      for (int j = 0; j < g.columns.size; ++j) {
        float v[kWidth];
        load_elements(from + (std::int64_t{i} * g.w + j) * g.c, v);
#pragma unroll
        for (int k = 0; k < kWidth; ++k) sum[k] += v[k];
      }
#pragma unroll
    for (int k = 0; k < kWidth; ++k) sum[k] *= g.factor;
    store_elements(
        y + (std::int64_t{blockIdx.x} * g.columns.count + ox) * g.c + c, sum);
  }
}

// A block a row of inputs: each gathers from the windows that cover it, in the
// order of the outputs.
template <int kWidth, typename T>
__global__ void pool_backward(const T* dy, T* dx, Geometry g) {
  const int packs = g.c / kWidth;
  const auto image = blockIdx.x / static_cast<unsigned>(g.h);
  const int i = static_cast<int>(blockIdx.x - image * static_cast<unsigned>(g.h));
  for (int item = static_cast<int>(threadIdx.x); item < g.w * packs;
       item += static_cast<int>(blockDim.x)) {
    const int j = g.by_packs(item), c = (item - j * packs) * kWidth;
    float sum[kWidth] = {};
    for (int oy = 0; oy < g.rows.count; ++oy)
      for (int ox = 0; ox < g.columns.count; ++ox) {
        if (!covers(g.rows, oy, i) || !covers(g.columns, ox, j)) continue;
        float v[kWidth];
        load_elements(dy + ((std::int64_t{image} * g.rows.count + oy) *
                                g.columns.count + ox) * g.c + c, v);
#pragma unroll
        for (int k = 0; k < kWidth; ++k) sum[k] += v[k] * g.factor;
      }
    store_elements(dx + (std::int64_t{blockIdx.x} * g.w + j) * g.c + c, sum);
  }
}

// x: input of the forward pass; packs: of channels in a pixel.
Geometry geometry(const Shape& x, const AvgPoolSpec& s, std::int64_t packs) {
  const auto narrow = [](std::int64_t v) { return static_cast<int>(v); };
  return {narrow(x[1]), narrow(x[2]), narrow(x[3]), s.rows, s.columns,
          1.0f / static_cast<float>(std::int64_t{s.rows.size} * s.columns.size),
          Divider(packs,
                  std::max<std::int64_t>(x[2], s.columns.count) * packs)};
}

}  // namespace

std::unique_ptr<Kernel> make_avg_pool_forward(const KernelRequest& r,
                                              AvgPoolSpec spec) {
  const Shape x = r.in[0].shape;
  std::unique_ptr<Kernel> kernel;
  with_channel_packs(
      r.in[0].dtype, x[3], "avg_pool",
      [&]<typename T, int kWidth>(T, std::integral_constant<int, kWidth>) {
        const std::int64_t packs = x[3] / kWidth;
        const LaunchShape shape =
            block_per_row(x[0] * spec.rows.count, spec.columns.count * packs);
        const Geometry g = geometry(x, spec, packs);
        kernel = function_kernel([=](const KernelArgs& args) {
          launch(pool_forward<kWidth, T>, shape, args.stream,
                 static_cast<const T*>(args.in[0].data),
                 static_cast<T*>(args.out[0].data), g);
        });
      });
  return kernel;
}

std::unique_ptr<Kernel> make_avg_pool_backward(const KernelRequest& r,
                                               AvgPoolSpec spec) {
  const Shape x = r.out[0].shape;
  std::unique_ptr<Kernel> kernel;
  with_channel_packs(
      r.out[0].dtype, x[3], "avg_pool_backward",
      [&]<typename T, int kWidth>(T, std::integral_constant<int, kWidth>) {
        const std::int64_t packs = x[3] / kWidth;
        const LaunchShape shape = block_per_row(x[0] * x[1], x[2] * packs);
        const Geometry g = geometry(x, spec, packs);
        kernel = function_kernel([=](const KernelArgs& args) {
          launch(pool_backward<kWidth, T>, shape, args.stream,
                 static_cast<const T*>(args.in[0].data),
                 static_cast<T*>(args.out[0].data), g);
        });
      });
  return kernel;
}

}  // namespace music::cuda
