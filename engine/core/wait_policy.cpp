#include "engine/core/wait_policy.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <string>
#include <utility>

namespace music {
namespace {

// Waking a sleeping thread takes 5 to 50 us. Between two regions of a step lie
// a few; longer waits are for a thread that lost its core.
constexpr double kSpinMicroseconds = 40;

// Set between the two starts; its value is what wait_policy() says.
constexpr const char* kMarker = "MUSIC_STARTED_ANEW";

std::string& policy() {
  static std::string text = "the runtime's own";
  return text;
}

// The runtime counts turns of a loop around the pause instruction, which takes
// 10 ns on some processors and 60 on others.
long turns_of(double microseconds) {
  using Clock = std::chrono::steady_clock;
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    constexpr int kTurns = 256;
    const auto begin = Clock::now();
    for (int turn = 0; turn < kTurns; ++turn) {
#if defined(__x86_64__) || defined(__i386__)
      __builtin_ia32_pause();
#else
      asm volatile("" ::: "memory");
#endif
    }
    const std::chrono::duration<double, std::micro> took =
        Clock::now() - begin;
    best = std::min(best, took.count() / kTurns);
  }
  return std::clamp(static_cast<long>(microseconds / std::max(best, 1e-4)), 1L,
                    1000000L);
}

}  // namespace

void settle_wait_policy(char** argv) {
  static bool settled = false;
  if (std::exchange(settled, true)) return;
  if (const char* said = std::getenv(kMarker)) {
    policy() = said;
    unsetenv(kMarker);
    unsetenv("GOMP_SPINCOUNT");
    return;
  }
  for (const char* name : {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"})
    if (const char* value = std::getenv(name)) {
      policy() = fmt::format("{}={}", name, value);
      return;
    }
  char self[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0) return;
  self[n] = '\0';
  setenv("GOMP_SPINCOUNT", std::to_string(turns_of(kSpinMicroseconds)).c_str(),
         1);
  setenv(kMarker,
         fmt::format("spin {:.0f} us, then sleep", kSpinMicroseconds).c_str(),
         1);
  execv(self, argv);
  unsetenv(kMarker);  // it is still this one
  unsetenv("GOMP_SPINCOUNT");
}

const char* wait_policy() { return policy().c_str(); }

}  // namespace music
