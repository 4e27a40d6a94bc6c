#include "music/train/interrupt.h"

#include <csignal>

namespace music {
namespace {

constexpr int kSignals[] = {SIGUSR1, SIGINT, SIGTERM};
volatile std::sig_atomic_t noted = 0;

extern "C" void note_signal(int number) {
  if (noted == 0) noted = number;
  if (number != SIGUSR1) std::signal(number, SIG_DFL);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  noted = 0;
  for (int s : kSignals) {
    struct sigaction action {};
    action.sa_handler = note_signal;
    action.sa_flags = SA_RESTART;
    sigaction(s, &action, nullptr);
  }
}

InterruptGuard::~InterruptGuard() {
  for (int s : kSignals) std::signal(s, SIG_DFL);
}

int InterruptGuard::pending() { return noted; }

}  // namespace music
