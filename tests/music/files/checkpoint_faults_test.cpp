// Checkpoints against failing devices and kill -9.
// MUSIC_KILLS sets the number of kills (200).
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdarg>
#include <cstdlib>
#include <random>

#include "engine/core/error.h"
#include "engine/io/outage.h"
#include "music/files/checkpoint.h"
#include "tests/music/files/checkpoint_support.h"

namespace fs = std::filesystem;
using namespace music;
using namespace music::test;

// The calls that can fail in a save. Armed, the k-th of them (and, sticky, all
// later ones) fails with `number`, or writes half when number is 0.
namespace {
struct Fault {
  bool armed = false, sticky = false, fired = false;
  int number = 0;
  long countdown = 0;

  bool strikes() {
    if (!armed) return false;
    const bool now = countdown == 0 || (sticky && fired);
    if (!fired) --countdown;
    fired = fired || now;
    if (now && number != 0) errno = number;
    return now;
  }
} fault;

std::vector<std::string>* synced = nullptr;  // where fsync() notes its paths

std::string path_of(int descriptor) {
  return fs::read_symlink("/proc/self/fd/" + std::to_string(descriptor)).string();
}
}  // namespace

extern "C" {
ssize_t write(int descriptor, const void* data, std::size_t size) {
  if (fault.strikes()) {
    if (fault.number != 0) return -1;
    size = (size + 1) / 2;
  }
  return syscall(SYS_write, descriptor, data, size);
}
int fsync(int descriptor) {
  if (synced) synced->push_back(path_of(descriptor));
  if (fault.number != 0 && fault.strikes()) return -1;
  return static_cast<int>(syscall(SYS_fsync, descriptor));
}
int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const unsigned mode = flags & O_CREAT ? va_arg(list, unsigned) : 0;
  va_end(list);
  if (fault.number != 0 && fault.strikes()) return -1;
  return static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}
// These two are never interrupted.
int rename(const char* from, const char* to) noexcept {
  if (fault.number != 0 && fault.number != EINTR && fault.strikes()) return -1;
  return static_cast<int>(syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to));
}
int mkdir(const char* path, mode_t mode) noexcept {
  if (fault.number != 0 && fault.number != EINTR && fault.strikes()) return -1;
  return static_cast<int>(syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}
}

TEST_SUITE("checkpoint_faults") {

TEST_CASE("every failing call of a save leaves the old, and is no end") {
  struct Kind { int number; bool sticky; };
  for (const bool replace : {false, true})
    for (const Kind kind : {Kind{ENOSPC, false}, {ENOSPC, true}, {EIO, false},
                            {EINTR, false}, {0, false}, {ESTALE, false},
                            {EROFS, true}, {EACCES, false}, {ETIMEDOUT, true},
                            {EMFILE, true}, {EIO, true}}) {
      long calls = 0;
      for (bool fired = true; fired; ++calls) {
        const CheckpointRoot scratch;
        save(scratch.path, 5, 1, 2);
        save(scratch.path, 6, 2, 2);
        const std::int64_t step = replace ? 6 : 7;
        fault = {true, kind.sticky, false, kind.number, calls};
        int code = 0;
        try {
          save(scratch.path, step, 3, 2);
        } catch (const StorageError& e) {  // which a run tries again
          code = 20;
          const bool full = kind.number == ENOSPC || kind.number == EIO;
          CHECK(e.number() == kind.number);
          CHECK((e.code() == ExitCode::kDiskFull) == full);
        } catch (const Error& e) {
          code = static_cast<int>(e.code());
        }
        fired = fault.fired;
        fault = {};
        INFO("errno ", kind.number, " at call ", calls, ", code ", code);
        const bool harmless = kind.number == EINTR || kind.number == 0;
        CHECK((code == 0 || (!harmless && code == 20)));
        const auto latest = load_latest_checkpoint(scratch.path);
        REQUIRE(latest);
        const std::int64_t value = value_of(*latest);
        CHECK((value == 3 || (code == 20 && value == 2)));
        for (const std::string& name : names_in(scratch.path))
          CHECK(!name.starts_with(".tmp-"));
        save(scratch.path, 8, 4, 1);
        CHECK(value_of(*load_latest_checkpoint(scratch.path)) == 4);
        CHECK(names_in(scratch.path) ==
              std::vector<std::string>{"latest", "step_000000000008"});
      }
      // The test is worth nothing when the calls are not seen.
      CHECK(calls > (kind.number == 0 ? 5 : 10));
    }
}

// The folders that get an entry, up to the one that was there.
TEST_CASE("new folders outlive a loss of power with what is in them") {
  const CheckpointRoot scratch;
  const fs::path run = scratch.path / "runs" / "a", root = run / "ckpt";
  std::vector<std::string> paths;
  synced = &paths;
  save(root, 1, 1);
  synced = nullptr;
  for (const fs::path& folder : {scratch.path, scratch.path / "runs", run, root}) {
    INFO(folder.string());
    CHECK(std::ranges::count(paths, folder.string()) >= 1);
  }
}

TEST_CASE("a writer killed at any microsecond costs nothing committed") {
  struct Shared {
    std::atomic<bool> ready{false};
    std::atomic<std::int64_t> value{0};  // of the last save that returned
    std::atomic<std::int64_t> step{0};
  };
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  auto& shared = *new (memory) Shared;
  constexpr std::size_t kElements = 60'000;

  const char* wanted = std::getenv("MUSIC_KILLS");
  const int kills = wanted ? std::atoi(wanted) : 200;
  const CheckpointRoot scratch;
  const auto begin = std::chrono::steady_clock::now();
  for (int step = 1; step <= 5; ++step)
    save(scratch.path, step, 0, 2, kElements);
  const double save_us = std::chrono::duration<double, std::micro>(
      std::chrono::steady_clock::now() - begin).count() / 5;
  shared.step = 5;

  std::mt19937 random(11);
  int mid_save = 0, replaced = 0;
  for (int kill_number = 1; kill_number <= kills; ++kill_number) {
    const bool replace = random() % 2;
    const int keep = 1 + static_cast<int>(random() % 2);
    const std::int64_t from =
        load_latest_checkpoint(scratch.path)->state.step + (replace ? 0 : 1);
    shared.ready = false;
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      try {
        // Values grow, so that a lost replacement shows.
        for (std::int64_t i = 0;; ++i) {
          const std::int64_t value = kill_number * 1000 + i;
          shared.ready = true;
          // Each step twice: a replacement is as safe as a new one.
          save(scratch.path, from + i / 2, value, keep, kElements);
          shared.step = from + i / 2;
          shared.value = value;
        }
      } catch (...) {
        _exit(1);
      }
    }
    while (!shared.ready) usleep(50);
    usleep(static_cast<useconds_t>(
        std::uniform_real_distribution<>(0, 3 * save_us)(random)));
    kill(child, SIGKILL);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));  // not its own error

    const auto latest = load_latest_checkpoint(scratch.path);
    REQUIRE(latest);
    CHECK(latest->state.step >= shared.step);
    CHECK(value_of(*latest) >= shared.value);
    for (const std::string& name : names_in(scratch.path)) {
      if (name.starts_with("step_") || name.starts_with(".old-"))
        CHECK_NOTHROW(value_of(load_checkpoint(scratch.path / name)));
      mid_save += name.starts_with(".tmp-");
      replaced += name.starts_with(".old-");
    }
  }
  MESSAGE(kills, " kills, ", mid_save, " left a temporary, ", replaced,
          " a replaced checkpoint; a save takes ", save_us, " us");
  CHECK(mid_save >= kills / 8);  // else it was not killed in a save
  save(scratch.path, shared.step + 1, 1, 1);
  for (const std::string& name : names_in(scratch.path))
    CHECK(!name.starts_with(".tmp-"));
  munmap(memory, sizeof(Shared));
}

}
