#include "data/bad_images.h"

#include <algorithm>

#include "engine/core/error.h"

namespace music::data {

std::int64_t bad_allowed(std::int64_t images, double share) {
  constexpr std::int64_t kLeast = 3;
  return std::max(kLeast, static_cast<std::int64_t>(
                              share * static_cast<double>(images)));
}

void check_bad(std::int64_t bad, std::int64_t images, double share,
               const std::string& last) {
  const std::int64_t limit = bad_allowed(images, share);
  if (bad > limit)
    throw error(ExitCode::kData,
                "[loader] {} of the epoch's {} images cannot be read, limit "
                "{}{}{}", bad, images, limit, last.empty() ? "" : "; the last is ",
                last);
}

}  // namespace music::data
