#include "tools/child_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <thread>

#include "engine/core/error.h"
#include "music/train/interrupt.h"

namespace music {
namespace {

int open_or_throw(const std::string& path, int flags) {
  const int file = open(path.c_str(), flags | O_CLOEXEC, 0644);
  if (file < 0)
    throw error(ExitCode::kUsage, "[paper] {}: {}", path, std::strerror(errno));
  return file;
}

double seconds_of(const timeval& t) {
  return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
}

}  // namespace

std::string program_folder() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
}

ChildResult run_child(const std::string& program,
                      const std::vector<std::string>& arguments,
                      const std::string& output, const std::string& log) {
  // All that allocates comes before fork().
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& word : arguments)
    argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const int in = open_or_throw("/dev/null", O_RDONLY);
  const int out = open_or_throw(output, O_WRONLY | O_CREAT | O_TRUNC);
  const int err = open_or_throw(log, O_WRONLY | O_CREAT | O_APPEND);
  int failed[2];  // closed by exec, or told errno
  if (pipe2(failed, O_CLOEXEC) != 0)
    throw error(ExitCode::kInternal, "[paper] pipe: {}", std::strerror(errno));
  const auto start = std::chrono::steady_clock::now();
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(127);
    dup2(in, 0);
    dup2(out, 1);
    dup2(err, 2);
    execv(program.c_str(), argv.data());
    const int number = errno;
    (void)!write(failed[1], &number, sizeof number);
    _exit(127);
  }
  const int fork_error = errno;
  for (int file : {in, out, err, failed[1]}) close(file);
  int number = child < 0 ? fork_error : 0;
  if (child > 0) {
    ssize_t n;
    do n = read(failed[0], &number, sizeof number);
    while (n < 0 && errno == EINTR);
  }
  close(failed[0]);
  ChildResult result;
  int status = 0;
  rusage usage{};
  while (child > 0) {
    const pid_t ended = wait4(child, &status, WNOHANG, &usage);
    if (ended == child || (ended < 0 && errno != EINTR)) break;
    if (result.passed == 0 && InterruptGuard::pending() != 0) {
      result.passed = InterruptGuard::pending();
      kill(child, result.passed);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  if (number != 0)
    throw error(ExitCode::kUsage, "[paper] {}: {}", program, std::strerror(number));
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.processor_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
  result.peak_gib = static_cast<double>(usage.ru_maxrss) / (1 << 20);
  return result;
}

}  // namespace music
