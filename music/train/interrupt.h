#pragma once
// Signals that ask a run to save and stop:
//   SIGUSR1, SIGUSR2, SIGXCPU  its time is up: ends with ExitCode::kPreempted
//   SIGINT, SIGTERM, SIGHUP    end with 128 + their number
// SIGHUP stays ignored where it was (nohup).

namespace music {

// First thing in main(): until end_on_signals() none of them arrives, not across
// an exec() either.
void hold_signals();

// From now on one of them ends the process at once, with its exit code and one
// line: there is nothing to save yet. speak: false leaves the line out.
void end_on_signals(bool speak);

// While it lives they are noted rather than obeyed; a second SIGINT, SIGTERM or
// SIGHUP acts as if there were no handler. Afterwards all is as before. One at a
// time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  // The first signal noted, 0 for none.
  static int pending();
};

// What the process ends with after that signal, and its name.
int exit_code_of(int signal);
const char* signal_name(int signal);

}  // namespace music
