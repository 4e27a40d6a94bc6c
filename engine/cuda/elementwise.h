#pragma once
// Kernels of one formula an element, y[i] = f(a[i], b[i], ...), computed in
// fp32 on tensors of one dtype. y may be one of the inputs.
//
//   struct Add { __device__ float operator()(float a, float b) const {...} };
//   return elementwise_kernel<2>(request, "add", [](const KernelArgs&) {
//     return Add{};
//   });

#include <memory>
#include <span>
#include <utility>

#include "engine/cuda/elements.h"
#include "engine/cuda/launch.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {

struct Pack {
  float v[kPack];
};

template <typename T>
__device__ inline Pack load_pack(const T* p, std::int64_t i, std::int64_t n) {
  Pack pack;
  load_tail(p, i, n, pack.v);
  return pack;
}

template <typename F, typename... Packs>
__device__ inline Pack map_packs(const F& f, const Packs&... x) {
  Pack y;
#pragma unroll
  for (int j = 0; j < kPack; ++j) y.v[j] = f(x.v[j]...);
  return y;
}

template <typename T, typename F, typename... X>  // X: const T*
__global__ void map_elements(F f, std::int64_t n, T* y, X... x) {
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x * kPack;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x) *
                        kPack;
       i < n; i += stride)
    store_tail(y, i, n, map_packs(f, load_pack(x, i, n)...).v);
}

// The first kInputs inputs are f's operands; make(args) gives f at run time,
// with pointers to what else it reads. All addresses are aligned to 16 bytes.
template <int kInputs, typename Make>
std::unique_ptr<Kernel> elementwise_kernel(const KernelRequest& r,
                                           const char* op, Make make) {
  using F = decltype(make(std::declval<const KernelArgs&>()));
  const std::int64_t n = r.out[0].shape.elements();
  for (const ValueInfo& x : std::span(r.in).first(kInputs))
    MUSIC_CHECK(x.dtype == r.out[0].dtype, "[{}] {} is {}, expected {}", op,
                x.name, name_of(x.dtype), name_of(r.out[0].dtype));
  std::unique_ptr<Kernel> kernel;
  with_real_type(r.out[0].dtype, op, [&]<typename T>(T) {
    kernel = function_kernel([n, make](const KernelArgs& args) {
      const auto run = [&](auto... x) {
        void (*map)(F, std::int64_t, T*, decltype(x)...) = map_elements;
        launch(map, grid_stride(ceil_div(n, kPack)), args.stream, make(args), n,
               static_cast<T*>(args.out[0].data), x...);
      };
      [&]<std::size_t... I>(std::index_sequence<I...>) {
        run(static_cast<const T*>(args.in[I].data)...);
      }(std::make_index_sequence<kInputs>());
    });
  });
  return kernel;
}

}  // namespace music::cuda
