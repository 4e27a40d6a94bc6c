#pragma once
// Division of small non-negative integers by a number known at plan time, as a
// multiplication: a GPU has no instruction that divides.

#include <cstdint>

#include "engine/core/error.h"
#include "engine/core/host_device.h"

namespace music::cuda {

class Divider {
 public:
  // For dividends up to `most`. With m = 2^32 / divisor rounded up, x m / 2^32
  // is too large by less than x / 2^32; below 1 / divisor its floor is exact.
  Divider(std::int64_t divisor, std::int64_t most)
      : divisor_(static_cast<unsigned>(divisor)),
        multiplier_(static_cast<unsigned>(
            ((std::int64_t{1} << 32) + divisor - 1) / divisor)) {
    MUSIC_CHECK(divisor >= 1 && most < (std::int64_t{1} << 32) / divisor &&
                    most < std::int64_t{1} << 31,
                "[cuda] {} / {} by multiplication", most, divisor);
  }
  MUSIC_HOST_DEVICE int operator()(int x) const {
    if (divisor_ == 1) return x;  // 2^32 / 1 does not fit
    return static_cast<int>(static_cast<std::uint64_t>(multiplier_) *
                                static_cast<unsigned>(x) >> 32);
  }

 private:
  unsigned divisor_, multiplier_;
};

}  // namespace music::cuda
