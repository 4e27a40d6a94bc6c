#include "data/fast/planes.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "data/fast/planes_simd.cpp"
#include <hwy/foreach_target.h>  // before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace music::data::fast {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

HWY_ATTR void interleave(const Planes& in, std::uint8_t* HWY_RESTRICT rgb) {
  const hn::ScalableTag<std::uint8_t> d;
  const std::size_t lanes = hn::Lanes(d);
  const std::size_t n = static_cast<std::size_t>(in.size());
  for (std::size_t y = 0; y < n; ++y, rgb += 3 * n) {
    const std::uint8_t* r = in.plane(0) + in.stride() * y;
    const std::uint8_t* g = in.plane(1) + in.stride() * y;
    const std::uint8_t* b = in.plane(2) + in.stride() * y;
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes)
      hn::StoreInterleaved3(hn::LoadU(d, r + i), hn::LoadU(d, g + i),
                            hn::LoadU(d, b + i), d, rgb + 3 * i);
    for (; i < n; ++i) {
      rgb[3 * i] = r[i];
      rgb[3 * i + 1] = g[i];
      rgb[3 * i + 2] = b[i];
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace music::data::fast
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace music::data::fast {

HWY_EXPORT(interleave);

void Planes::reset(int size) {
  size_ = size;
  stride_ = (static_cast<std::size_t>(size) + kTile - 1) / kTile * kTile;
  const std::size_t bytes = stride_ * stride_;
  if (storage_.bytes() < kChannels * bytes)
    storage_ = Buffer(kChannels * bytes);
  for (int c = 0; c < kChannels; ++c)
    plane_[c] = storage_.as<std::uint8_t>() + c * bytes;
}

void Planes::interleave(std::uint8_t* rgb) const {
  HWY_DYNAMIC_DISPATCH(interleave)(*this, rgb);
}

}  // namespace music::data::fast
#endif  // HWY_ONCE
