#pragma once
// A new picture, of a size that came from data.

#include <cstdint>

#include "data/image.h"

namespace music {

// Gives the image width x height unspecified pixels and returns them. Throws
// kUsage, as `what` ("a sheet"), for more than 32767 a side.
std::uint8_t* new_picture(data::Image& image, const char* what,
                          std::int64_t width, std::int64_t height);

}  // namespace music
