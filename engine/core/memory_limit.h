#pragma once
// Limits of a process's memory (ulimit -v, RLIMIT_AS; ulimit -d, RLIMIT_DATA), at
// which allocations fail: in our own code by an exception, in libraries that do
// not look by a segmentation fault.

#include <cstddef>

namespace music {

struct MemoryLimit {
  std::size_t limit = 0;   // bytes; 0: none
  std::size_t in_use = 0;  // of that limit
  // So little is left that an allocation of a usual size may have failed.
  bool near() const;
};

// May be called in the handler of a signal.
MemoryLimit memory_limit() noexcept;

// "cannot allocate: 110 of 117 MiB (ulimit -v) are in use", into text, which is
// cut to size; "cannot allocate" where there is no limit. In a handler too.
void describe_memory_limit(char* text, std::size_t size) noexcept;

}  // namespace music
