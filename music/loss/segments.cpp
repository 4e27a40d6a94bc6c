#include "music/loss/segments.h"

#include "engine/core/error.h"

namespace music {
namespace {

void check_size(std::int64_t size) {
  if (size < 2)
    throw error(ExitCode::kUsage,
                "[coding] a segment of {} units: expected at least 2", size);
}

}  // namespace

Segments Segments::equal(std::int64_t units, std::int64_t size) {
  check_size(size);
  if (units < 1)
    throw error(ExitCode::kUsage,
                "[coding] D {}: expected a multiple of {}", units, size);
  const std::int64_t below = units / size * size;
  if (below == 0)
    throw error(ExitCode::kUsage,
                "[coding] D {} does not divide into segments of {}: nearest D "
                "is {}", units, size, size);
  if (below != units)
    throw error(ExitCode::kUsage,
                "[coding] D {} does not divide into segments of {}: nearest D "
                "are {} and {}", units, size, below, below + size);
  std::vector<std::int64_t> begin;
  for (std::int64_t b = 0; b <= units; b += size) begin.push_back(b);
  return Segments(std::move(begin));
}

Segments Segments::uneven(const std::vector<std::int64_t>& sizes) {
  if (sizes.empty())
    throw error(ExitCode::kUsage,
                "[coding] no segments: expected a list of sizes");
  std::vector<std::int64_t> begin{0};
  for (const std::int64_t size : sizes) {
    check_size(size);
    begin.push_back(begin.back() + size);
  }
  return Segments(std::move(begin));
}

bool Segments::is_equal() const {
  for (std::int64_t s = 1; s < count(); ++s)
    if (size(s) != size(0)) return false;
  return true;
}

}  // namespace music
