#include "engine/core/memory_limit.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace music {
namespace {

// Pages of the whole address space, and of data and stack.
struct Pages {
  std::size_t space = 0, data = 0;
};

Pages pages() noexcept {
  Pages p;
  char text[256];
  const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0) return p;
  const ssize_t n = read(file, text, sizeof text - 1);
  close(file);
  std::size_t field[7] = {};
  int at = 0;
  for (ssize_t i = 0; i < n && at < 7; ++i)
    if (text[i] >= '0' && text[i] <= '9')
      field[at] = field[at] * 10 + static_cast<std::size_t>(text[i] - '0');
    else
      ++at;
  return {field[0], field[5]};
}

}  // namespace

bool MemoryLimit::near() const {
  constexpr std::size_t kUsual = std::size_t{64} << 20;
  return limit > 0 && in_use + std::max(kUsual, limit / 8) >= limit;
}

MemoryLimit memory_limit() noexcept {
  const Pages now = pages();
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  MemoryLimit least;
  const auto look = [&](auto kind, std::size_t used) {
    rlimit l{};
    if (getrlimit(kind, &l) != 0 || l.rlim_cur == RLIM_INFINITY) return;
    const auto bytes = static_cast<std::size_t>(l.rlim_cur);
    const auto left = [](std::size_t a, std::size_t b) { return a - std::min(a, b); };
    if (least.limit == 0 ||
        left(bytes, used * page) < left(least.limit, least.in_use))
      least = {std::max<std::size_t>(bytes, 1), used * page};
  };
  look(RLIMIT_AS, now.space);
  look(RLIMIT_DATA, now.data);
  return least;
}

void describe_memory_limit(char* text, std::size_t size) noexcept {
  const MemoryLimit m = memory_limit();
  if (m.limit == 0)
    std::snprintf(text, size, "cannot allocate memory");
  else
    std::snprintf(text, size,
                  "cannot allocate memory: %zu MiB are in use of the limit of %zu "
                  "MiB (ulimit -v)", m.in_use >> 20, m.limit >> 20);
}

}  // namespace music
