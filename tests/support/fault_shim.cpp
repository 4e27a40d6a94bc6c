// Preloaded into a program under test: calls of the system fail as told.
//   LD_PRELOAD=libfault_shim.so MUSIC_TEST_FAULTS=FILE program
// FILE, which may come, change and go while the program runs, has lines
//   CALL ERRNO PART
// by which CALL (open, rename, fsync, mkdir, flock) on a path with PART in it
// fails with that number; those that failed are counted in FILE.count. With "hold"
// for CALL an open waits as long as the line is there.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

bool strikes(const char* call, const char* path) {
  static const char* const file = std::getenv("MUSIC_TEST_FAULTS");
  if (!file || !path || std::strstr(path, file)) return false;
  char text[2048];
  const long at = syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC);
  if (at < 0) return false;
  const long n = syscall(SYS_read, at, text, sizeof text - 1);
  syscall(SYS_close, at);
  if (n <= 0) return false;
  text[n] = '\0';
  char* rest = nullptr;
  for (char* line = strtok_r(text, "\n", &rest); line;
       line = strtok_r(nullptr, "\n", &rest)) {
    char name[32], part[512];
    int number = 0;
    if (std::sscanf(line, "%31s %d %511s", name, &number, part) != 3 ||
        std::strcmp(name, call) != 0 || !std::strstr(path, part))
      continue;
    char counter[600];
    std::snprintf(counter, sizeof counter, "%s.count", file);
    const long out = syscall(SYS_openat, AT_FDCWD, counter,
                             O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (out >= 0) {
      (void)syscall(SYS_write, out, "x\n", 2);
      syscall(SYS_close, out);
    }
    errno = number;
    return true;
  }
  return false;
}

const char* path_of(int descriptor, char (&buffer)[4096]) {
  char link[64];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t n = readlink(link, buffer, sizeof buffer - 1);
  if (n <= 0) return nullptr;
  buffer[n] = '\0';
  return buffer;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const unsigned mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, unsigned) : 0;
  va_end(list);
  while (strikes("hold", path)) usleep(5000);
  if (strikes("open", path)) return -1;
  return static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}
int open64(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const unsigned mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, unsigned) : 0;
  va_end(list);
  while (strikes("hold", path)) usleep(5000);
  if (strikes("open", path)) return -1;
  return static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}
int rename(const char* from, const char* to) noexcept {
  if (strikes("rename", to)) return -1;
  return static_cast<int>(syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to));
}
int mkdir(const char* path, mode_t mode) noexcept {
  if (strikes("mkdir", path)) return -1;
  return static_cast<int>(syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}
int fsync(int descriptor) {
  char buffer[4096];
  if (strikes("fsync", path_of(descriptor, buffer))) return -1;
  return static_cast<int>(syscall(SYS_fsync, descriptor));
}
int flock(int descriptor, int operation) noexcept {
  char buffer[4096];
  if (strikes("flock", path_of(descriptor, buffer))) return -1;
  return static_cast<int>(syscall(SYS_flock, descriptor, operation));
}

}  // extern "C"
