#pragma once
// Signals that ask a run to save and stop.

namespace music {

// While it lives, SIGUSR1, SIGINT and SIGTERM are noted rather than obeyed; a
// second SIGINT or SIGTERM acts as if there were no handler. One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  // The first signal noted, 0 for none.
  static int pending();
};

}  // namespace music
