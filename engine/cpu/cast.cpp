#include "engine/ops/cast.h"

#include "engine/core/convert.h"
#include "engine/cpu/elementwise.h"

namespace music::cpu {
namespace {

template <typename From, typename To>
std::unique_ptr<Kernel> make(std::int64_t n) {
  return function_kernel([n](const KernelArgs& args) {
    const auto* x = static_cast<const From*>(args.in[0].data);
    auto* y = static_cast<To*>(args.out[0].data);
    for_elements(n, [=](std::int64_t i) { y[i] = convert<To>(x[i]); });
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

}  // namespace music::cpu
