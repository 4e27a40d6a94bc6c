#pragma once
// The one exception type of the project, its exit codes, and MUSIC_CHECK.
//
// A message is one line: what was expected, what was found, where. It starts
// with the part that speaks, in brackets: "[conv2d] weight has 64 input
// channels, input has 3".

#include <stdexcept>
#include <string>
#include <utility>

#include "engine/core/format.h"

namespace music {

// Process exit codes; they survive mpirun, so a job script can act on them.
enum class ExitCode : int {
  kDone = 0,
  kInternal = 1,      // a broken invariant: a bug of ours
  kUsage = 2,         // flags, configuration
  kData = 3,          // data set, image, input file
  kNoCheckpoint = 4,  // checkpoints exist but none is valid
  kPreempted = 16,    // saved after SIGUSR1, SIGUSR2, SIGXCPU: requeue me
  kNumerical = 17,    // training diverged for good
  kWatchdog = 18,     // a stuck rank
  kPeerLost = 19,
  kDiskFull = 20,
  kUnavailable = 21,  // storage was away for longer than it is waited for
  kRunLost = 22,      // the run directory is gone, or not this process's
  kMemory = 23,       // memory that the process may not have
};

class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message)
      : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

// throw error(ExitCode::kData, "[jpeg] {} is {} bytes, limit {}", ...);
template <typename... Args>
Error error(ExitCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Error(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace music

// Always on. A failed check is a bug or a misuse of the API (exit code 1);
// errors a user can cause carry their own exit code through error().
#define MUSIC_CHECK(condition, ...)                                    \
  do {                                                                 \
    if (!(condition))                                                  \
      throw ::music::error(::music::ExitCode::kInternal, __VA_ARGS__); \
  } while (false)
