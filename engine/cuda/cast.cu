#include "engine/ops/cast.h"

#include "engine/core/convert.h"
#include "engine/cuda/elements.h"
#include "engine/cuda/launch.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {
namespace {

// Eight elements, read and written in words of up to 16 bytes.
template <typename T>
struct alignas(sizeof(T) == 1 ? 8 : 16) Eight {
  T v[kPack];
};

template <typename From, typename To>
__global__ void cast_elements(const From* x, To* y, std::int64_t n) {
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x * kPack;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x) *
                        kPack;
       i < n; i += stride) {
    if (i + kPack <= n) {
      const Eight<From> from = *reinterpret_cast<const Eight<From>*>(x + i);
      Eight<To> to;
#pragma unroll
      for (int j = 0; j < kPack; ++j) to.v[j] = convert<To>(from.v[j]);
      *reinterpret_cast<Eight<To>*>(y + i) = to;
    } else {
#pragma unroll 1
      for (std::int64_t j = i; j < n; ++j) y[j] = convert<To>(x[j]);
    }
  }
}

template <typename From, typename To>
std::unique_ptr<Kernel> make(std::int64_t n) {
  return function_kernel([n](const KernelArgs& args) {
    launch(cast_elements<From, To>, grid_stride(ceil_div(n, kPack)),
           args.stream, static_cast<const From*>(args.in[0].data),
           static_cast<To*>(args.out[0].data), n);
  });
}

template <typename From>
std::unique_ptr<Kernel> make_from(DType to, std::int64_t n) {
  switch (to) {
    case DType::kF32: return make<From, float>(n);
    case DType::kF64: return make<From, double>(n);
    case DType::kF16: return make<From, Half>(n);
    case DType::kBF16: return make<From, BFloat16>(n);
    default: return nullptr;
  }
}

}  // namespace

std::unique_ptr<Kernel> make_cast(const KernelRequest& r) {
  const DType from = r.in[0].dtype, to = r.out[0].dtype;
  const std::int64_t n = r.out[0].shape.elements();
  std::unique_ptr<Kernel> kernel;
  switch (from) {
    case DType::kF32: kernel = make_from<float>(to, n); break;
    case DType::kF64: kernel = make_from<double>(to, n); break;
    case DType::kF16: kernel = make_from<Half>(to, n); break;
    case DType::kBF16: kernel = make_from<BFloat16>(to, n); break;
    case DType::kU8: kernel = make_from<std::uint8_t>(to, n); break;
    default: break;
  }
  MUSIC_CHECK(kernel, "[cast] no conversion from {} to {}", name_of(from),
              name_of(to));
  return kernel;
}

}  // namespace music::cuda
