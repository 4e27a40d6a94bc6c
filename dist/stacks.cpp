#include "dist/stacks.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <initializer_list>

#include "engine/core/error.h"
#include "engine/core/memory_limit.h"

namespace music::dist {
namespace {

constexpr int kFrames = 64;
const int kSignal = SIGRTMIN + 6;

std::atomic<int> descriptor_{-1};
std::atomic<bool> answered_{false};
int rank_ = 0;

void write_text(int descriptor, const char* text) {
  if (::write(descriptor, text, std::strlen(text)) < 0) return;
}

void write_own_stack(int descriptor) {
  void* frames[kFrames];
  // The first two are this function and the signal handler.
  const int n = backtrace(frames, kFrames);
  if (n > 2) backtrace_symbols_fd(frames + 2, n - 2, descriptor);
}

void on_request(int) {
  const int saved = errno;
  const int descriptor = descriptor_.load();
  if (descriptor >= 0) write_own_stack(descriptor);
  answered_.store(true);
  errno = saved;
}

void on_crash(int number) {
  // A library that does not look whether it was given memory.
  if (number == SIGSEGV && memory_limit().near()) {
    char line[240], what[160];
    describe_memory_limit(what, sizeof what);
    std::snprintf(line, sizeof line, "%s: rank %d: %s\n",
                  program_invocation_short_name, rank_, what);
    write_text(STDERR_FILENO, line);
    _exit(static_cast<int>(ExitCode::kMemory));
  }
  // The library's name of a signal is not safe to ask for here.
  char line[96];
  std::snprintf(line, sizeof line, "\n[crash] rank %d: signal %d (%s)\n", rank_,
                number, number == SIGSEGV   ? "segmentation fault"
                        : number == SIGBUS  ? "bus error"
                        : number == SIGFPE  ? "arithmetic error"
                        : number == SIGILL  ? "illegal instruction"
                                            : "abort");
  write_text(STDERR_FILENO, line);
  write_own_stack(STDERR_FILENO);
  // The default action is back (SA_RESETHAND).
  std::raise(number);
}

// backtrace() loads a library on its first call: not in a signal handler.
void load_backtrace() {
  void* frame[1];
  backtrace(frame, 1);
}

}  // namespace

void write_stacks(int descriptor) {
  load_backtrace();
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = on_request;
  action.sa_flags = SA_RESTART;
  sigaction(kSignal, &action, &before);
  const auto self = static_cast<long>(syscall(SYS_gettid));
  DIR* tasks = opendir("/proc/self/task");
  if (!tasks) return;
  while (const dirent* entry = readdir(tasks)) {
    const long thread = std::strtol(entry->d_name, nullptr, 10);
    if (thread <= 0 || thread == self) continue;
    char line[64];
    std::snprintf(line, sizeof line, "\nthread %ld:\n", thread);
    write_text(descriptor, line);
    answered_.store(false);
    descriptor_.store(descriptor);
    if (syscall(SYS_tgkill, getpid(), thread, kSignal) == 0)
      for (int i = 0; i < 40 && !answered_.load(); ++i) {
        const timespec pause{0, 5'000'000};
        nanosleep(&pause, nullptr);
      }
    descriptor_.store(-1);
    if (!answered_.load()) write_text(descriptor, "no answer\n");
  }
  closedir(tasks);
  // The handler stays: a late answer must not end the process.
}

void report_crashes(int rank) {
  load_backtrace();
  rank_ = rank;
  struct sigaction action {};
  action.sa_handler = on_crash;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT})
    sigaction(number, &action, nullptr);
}

}  // namespace music::dist
