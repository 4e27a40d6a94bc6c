#pragma once
// The call stacks of this process's threads, for reports of what hangs or
// crashed. Linux.

namespace music::dist {

// Writes the stack of every other thread to the descriptor: each is
// interrupted by a real-time signal and writes its own. A thread that does not
// answer within a fifth of a second is named as such. From one thread at a
// time.
void write_stacks(int descriptor);

// From now on SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT write one line with
// the rank and the stack of the thread to standard error before they end the
// process as ever.
void report_crashes(int rank);

}  // namespace music::dist
