#pragma once
// Numbers in messages: counted(1, "image") is "1 image", counted(2, "image")
// "2 images", counted(2, "entry", "entries") "2 entries".

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/core/format.h"

namespace music {

inline std::string counted(std::int64_t n, std::string_view one,
                           std::string_view many = {}) {
  if (n == 1) return fmt::format("1 {}", one);
  return many.empty() ? fmt::format("{} {}s", n, one) : fmt::format("{} {}", n, many);
}

}  // namespace music
