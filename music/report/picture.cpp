#include "music/report/picture.h"

#include <algorithm>

#include "engine/core/error.h"

namespace music {

std::uint8_t* new_picture(data::Image& image, const char* what,
                          std::int64_t width, std::int64_t height) {
  constexpr std::int64_t most = 32767;
  if (std::max(width, height) > most)
    throw error(ExitCode::kUsage,
                "[picture] {} of {} x {} pixels, expected at most {} a side", what,
                width, height, most);
  return image.reset(static_cast<int>(width), static_cast<int>(height));
}

}  // namespace music
