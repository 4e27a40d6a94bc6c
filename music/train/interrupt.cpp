#include "music/train/interrupt.h"

#include <errno.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <iterator>

#include "engine/core/error.h"

namespace music {
namespace {

struct Kind {
  int number;
  const char* name;
  bool preempts;
};
constexpr Kind kKinds[] = {
    {SIGUSR1, "SIGUSR1", true},  {SIGUSR2, "SIGUSR2", true},
    {SIGXCPU, "SIGXCPU", true},  {SIGINT, "SIGINT", false},
    {SIGTERM, "SIGTERM", false}, {SIGHUP, "SIGHUP", false}};

volatile std::sig_atomic_t noted = 0;
volatile std::sig_atomic_t quiet = 0;
struct sigaction before[std::size(kKinds)];

const Kind* kind_of(int number) {
  for (const Kind& k : kKinds)
    if (k.number == number) return &k;
  return nullptr;
}

void say(const char* text) {
  [[maybe_unused]] const auto n = ::write(STDERR_FILENO, text, std::strlen(text));
}

extern "C" void note_signal(int number) {
  if (noted == 0) noted = number;
  if (!kind_of(number)->preempts) std::signal(number, SIG_DFL);
}

extern "C" void end_now(int number) {
  if (!quiet) {
    say(program_invocation_short_name);
    say(": ");
    say(signal_name(number));
    say(" outside of training: nothing to save\n");
  }
  _exit(exit_code_of(number));
}

// SIGHUP that is ignored stays so.
void install(void (*handler)(int), struct sigaction* old) {
  for (std::size_t i = 0; i < std::size(kKinds); ++i) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    struct sigaction was {};
    sigaction(kKinds[i].number, nullptr, &was);
    if (old) old[i] = was;
    if (kKinds[i].number == SIGHUP && was.sa_handler == SIG_IGN) continue;
    sigaction(kKinds[i].number, &action, nullptr);
  }
}

void mask(int how) {
  sigset_t set;
  sigemptyset(&set);
  for (const Kind& k : kKinds) sigaddset(&set, k.number);
  sigprocmask(how, &set, nullptr);
}

}  // namespace

void hold_signals() { mask(SIG_BLOCK); }

void end_on_signals(bool speak) {
  quiet = !speak;
  install(end_now, nullptr);
  mask(SIG_UNBLOCK);
}

InterruptGuard::InterruptGuard() {
  noted = 0;
  install(note_signal, before);
}

InterruptGuard::~InterruptGuard() {
  for (std::size_t i = 0; i < std::size(kKinds); ++i)
    sigaction(kKinds[i].number, &before[i], nullptr);
}

int InterruptGuard::pending() { return noted; }

int exit_code_of(int signal) {
  const Kind* kind = kind_of(signal);
  return kind && kind->preempts ? static_cast<int>(ExitCode::kPreempted)
                                : 128 + signal;
}

const char* signal_name(int signal) {
  const Kind* kind = kind_of(signal);
  return kind ? kind->name : "a signal";
}

}  // namespace music
