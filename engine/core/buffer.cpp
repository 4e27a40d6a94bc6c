#include "engine/core/buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "engine/core/error.h"

namespace music {
namespace {
constexpr std::size_t kHugePage = std::size_t{2} << 20;
}

void Buffer::Free::operator()(void* p) const { std::free(p); }

Buffer::Buffer(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  const bool huge = bytes >= 2 * kHugePage;
  const std::size_t alignment = huge ? kHugePage : kAlignment;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* p = std::aligned_alloc(alignment, rounded);
  if (!p)
    throw error(ExitCode::kUsage,
                "[memory] cannot allocate {:.1f} MiB: use a smaller batch",
                static_cast<double>(bytes) / (1 << 20));
  data_.reset(p);
  if (huge) madvise(p, rounded, MADV_HUGEPAGE);  // advice: failure is harmless
  std::memset(p, 0, bytes);
}

}  // namespace music
