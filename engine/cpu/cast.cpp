#include "engine/ops/cast.h"

#include <bit>
#include <cmath>

#include "engine/core/half.h"
#include "engine/cpu/elementwise.h"

namespace music::cpu {
namespace {

float load(float v) { return v; }
double load(double v) { return v; }
float load(std::uint8_t v) { return v; }
float load(Half v) { return to_float(v); }
float load(BFloat16 v) { return to_float(v); }

// fp64 to fp32 rounded to odd: what is lost stays in the last bit, so that
// rounding on to 16 bits rounds as if once.
float narrow(double v) {
  const float f = static_cast<float>(v);
  if (static_cast<double>(f) == v || !std::isfinite(f)) return f;
  std::uint32_t bits = std::bit_cast<std::uint32_t>(f);
  if (std::abs(static_cast<double>(f)) > std::abs(v)) --bits;
  return std::bit_cast<float>(bits | 1u);
}
float narrow(float v) { return v; }

template <typename To, typename V>
To store(V v) {
  if constexpr (std::is_same_v<To, Half>)
    return to_half(narrow(v));
  else if constexpr (std::is_same_v<To, BFloat16>)
    return to_bfloat16(narrow(v));
  else
    return static_cast<To>(v);
}

template <typename From, typename To>
std::unique_ptr<Kernel> make(std::int64_t n) {
  return function_kernel([n](const KernelArgs& args) {
    const auto* x = static_cast<const From*>(args.in[0].data);
    auto* y = static_cast<To*>(args.out[0].data);
    for_elements(n, [=](std::int64_t i) { y[i] = store<To>(load(x[i])); });
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
