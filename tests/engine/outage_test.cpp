// Reads while storage is away: calls of the system that fail when they are told to.
#include "engine/io/outage.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <thread>

#include "engine/io/file.h"
#include "tests/support/scratch.h"

namespace {

// The next `opens` and `reads` of a path with `part` in it fail with `number`.
struct Faults {
  std::atomic<int> opens{0}, reads{0};
  int number = 0;
  std::string part;

  bool strikes(std::atomic<int>& left, const char* path) {
    if (left <= 0 || std::strstr(path, part.c_str()) == nullptr) return false;
    --left;
    errno = number;
    return true;
  }
} faults;
// Descriptor of the path, under which it is opened anew; -1: of the next open().
std::atomic<int> watched{-1};

}  // namespace

extern "C" {
int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const unsigned mode = flags & O_CREAT ? va_arg(list, unsigned) : 0;
  va_end(list);
  if (faults.strikes(faults.opens, path)) return -1;
  const int descriptor =
      static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
  if (faults.reads > 0 && watched < 0 && std::strstr(path, faults.part.c_str()))
    watched = descriptor;
  return descriptor;
}
ssize_t pread(int descriptor, void* data, std::size_t size, off_t offset) {
  if (descriptor == watched && faults.strikes(faults.reads, faults.part.c_str()))
    return -1;
  return syscall(SYS_pread64, descriptor, data, size, offset);
}
}

namespace {

using namespace music;

struct Files : test::Scratch {
  std::string image(const std::string& name) const {
    const auto at = path / name;
    std::filesystem::create_directories(at.parent_path());
    std::ofstream(at) << "of " << name;
    return at.string();
  }
  Files() {
    spdlog::set_level(spdlog::level::off);
    set_outage_limit(20);
  }
  ~Files() {
    faults.opens = faults.reads = 0;
    spdlog::set_level(spdlog::level::info);
    set_outage_limit(60);
  }
};

std::string read(const std::string& path) {
  std::vector<std::uint8_t> bytes;
  read_file(path, 1000, bytes);
  return {bytes.begin(), bytes.end()};
}

ExitCode code_of(const std::string& path) {
  try {
    read(path);
  } catch (const Error& e) {
    return e.code();
  }
  return ExitCode::kDone;
}

TEST_SUITE("outage") {
  TEST_CASE("errors that pass are waited for, in opening and in reading") {
    const Files files;
    const std::string a = files.image("x/a"), b = files.image("x/b");
    const auto before = outage_count();
    for (const int number : {ESTALE, ETIMEDOUT, EMFILE, EIO, EHOSTDOWN}) {
      faults.number = number, faults.part = "x/a";
      faults.opens = 2, faults.reads = 0;
      CHECK(read(a) == "of x/a");
      CHECK(faults.opens == 0);
      faults.reads = 2, watched = -1;
      CHECK(read(a) == "of x/a");
      CHECK(faults.reads == 0);
      faults.opens = 2;
      CHECK(FileReader(a).size() == 6);
      CHECK(faults.opens == 0);
    }
    const auto after = outage_count();
    CHECK(after.outages - before.outages == 15);
    CHECK(after.attempts - before.attempts == 30);
    CHECK(after.seconds > before.seconds);
  }

  TEST_CASE("a stale descriptor is opened anew, under its number") {
    const Files files;
    const std::string a = files.image("x/a");
    faults.number = ESTALE, faults.part = "x/a", faults.reads = 1, watched = -1;
    const FileReader reader(a);
    // Replaced: what was opened is of the file before.
    std::filesystem::remove(a);
    std::ofstream(a) << "OF x/a";
    std::array<std::byte, 6> bytes{};
    reader.read(0, bytes);
    CHECK(std::memcmp(bytes.data(), "OF x/a", 6) == 0);
  }

  TEST_CASE("an error of the file's own is not waited for") {
    const Files files;
    const std::string a = files.image("x/a"), b = files.image("x/b"),
                      c = files.image("y/c");
    CHECK(read(a) == "of x/a");
    CHECK(read(b) == "of x/b");
    for (const int number : {ENOENT, EACCES, ENOTDIR}) {
      faults.number = number, faults.part = "x/a", faults.opens = 1;
      CHECK(code_of(a) == ExitCode::kData);  // b can be read
    }
    // A bad sector: three times, and then it is that.
    faults.number = EIO, faults.opens = 1000;
    CHECK(code_of(a) == ExitCode::kData);
    CHECK(faults.opens == 1000 - 4);
    faults.opens = 0;
    CHECK(code_of((files.path / "x/no").string()) == ExitCode::kData);
    CHECK(code_of((files.path / "no/such").string()) == ExitCode::kData);
  }

  TEST_CASE("a folder that is away is waited for, until it is back") {
    const Files files;
    const std::string a = files.image("x/a"), b = files.image("x/b"),
                      c = files.image("x/c");
    CHECK(read(a) == "of x/a");
    CHECK(read(b) == "of x/b");
    const auto away = files.path / "away";
    std::filesystem::rename(files.path / "x", away);
    const auto before = outage_count();
    std::string got;
    std::thread reader([&] { got = read(c); });
    // Back when it has been missed, however long that takes.
    faults.part = "x/c";
    faults.number = ENOENT;
    faults.opens = 1 << 20;
    while (faults.opens > (1 << 20) - 3) std::this_thread::yield();
    std::filesystem::rename(away, files.path / "x");
    faults.opens = 0;
    reader.join();
    CHECK(got == "of x/c");
    CHECK(outage_count().outages == before.outages + 1);
  }

  TEST_CASE("the limit ends the waiting, with a code of its own") {
    const Files files;
    const std::string a = files.image("x/a");
    set_outage_limit(0.1);
    faults.number = ESTALE, faults.part = "x/a", faults.opens = 1 << 20;
    try {
      read(a);
      FAIL("it is read");
    } catch (const StorageError& e) {
      CHECK(e.code() == ExitCode::kUnavailable);
      CHECK(e.number() == ESTALE);
      CHECK(std::string(e.what()).find("attempts: storage that is away") !=
            std::string::npos);
    }
    set_outage_limit(0);
    CHECK(code_of(a) == ExitCode::kUnavailable);
  }
}

}  // namespace
