#include "dist/watchdog.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <ctime>
#include <fstream>
#include <vector>

#include "dist/stacks.h"
#include "engine/core/error.h"

namespace music::dist {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kLook = 0.2;   // seconds between looks
constexpr double kStale = 3.5;  // seconds; a beat is written once a second

double seconds(Clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

std::string host() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

double wall_time() {
  return std::chrono::duration<double>(
             std::chrono::system_clock::now().time_since_epoch()).count();
}

// Straight to the descriptor: the training thread may hold the logger's lock.
void say(int descriptor, const std::string& text) {
  if (::write(descriptor, text.data(), text.size()) < 0) return;
}

}  // namespace

Watchdog::Watchdog(const Activity& activity, const WatchdogSpec& spec)
    : activity_(activity), spec_(spec) {
  std::filesystem::create_directories(spec_.directory);
  beat();
  // Signals of the run are the training thread's.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { watch(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
  std::error_code ignored;
  std::filesystem::remove(file("beat", spec_.rank, "txt"), ignored);
}

void Watchdog::watch() {
  std::uint64_t ticks = activity_.ticks();
  double idle = 0, since_beat = 0;
  bool warned = false;
  auto last = Clock::now();
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, std::chrono::duration<double>(kLook),
                         [this] { return stop_; })) {
    const auto now = Clock::now();
    // A long gap is time in which this process did not run.
    const double step = std::min(seconds(now - last), 5 * kLook);
    last = now;
    since_beat += step;
    if (since_beat >= 1) {
      beat();
      since_beat = 0;
    }
    if (activity_.ticks() != ticks) {
      ticks = activity_.ticks();
      idle = 0;
      warned = false;
      continue;
    }
    idle += step;
    const double limit = spec_.limit * activity_.patience();
    if (idle >= limit) bite(idle);
    if (!warned && idle >= limit / 2) {
      warned = true;
      if (spokesman())
        say(STDERR_FILENO,
            fmt::format("[watchdog] no progress for {:.0f} s: {}; this job ends "
                        "after {:.0f} s\n", idle, suspects(), limit));
    }
  }
}

std::filesystem::path Watchdog::file(const char* what, int rank,
                                     const char* extension) const {
  return spec_.directory / fmt::format("{}-rank-{:04}.{}", what, rank, extension);
}

void Watchdog::beat() const {
  const std::string text =
      fmt::format("{:.1f} {} {} {} {}\n", wall_time(), activity_.collectives(),
                  getpid(), host(), activity_.stage());
  // In place: a reader that meets half of it waits for the next.
  const int f = ::open(file("beat", spec_.rank, "txt").c_str(),
                       O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (f < 0) return;
  // A beat that cannot be written makes this rank a suspect, no more.
  if (::pwrite(f, text.data(), text.size(), 0) > 0)
    (void)!::ftruncate(f, static_cast<off_t>(text.size()));
  ::close(f);
}

// "time collectives process host stage..."
Watchdog::Beat Watchdog::read_beat(const std::filesystem::path& path) {
  std::ifstream in(path);
  Beat b;
  std::string process, machine;
  if (!(in >> b.time >> b.collectives >> process >> machine)) return b;
  std::getline(in >> std::ws, b.stage);
  b.who = fmt::format("process {} on {}", process, machine);
  b.known = true;
  return b;
}

bool Watchdog::alive(int rank, const Beat& b) const {
  return rank == spec_.rank || (b.known && wall_time() - b.time <= kStale);
}

bool Watchdog::spokesman() const {
  for (int r = 0; r < spec_.rank; ++r)
    if (alive(r, read_beat(file("beat", r, "txt")))) return false;
  return true;
}

std::string Watchdog::suspects() const {
  std::vector<Beat> beats;
  std::uint64_t least = UINT64_MAX, most = 0;
  std::string silent, behind;
  const double now = wall_time();
  for (int r = 0; r < spec_.size; ++r) {
    const Beat& b = beats.emplace_back(read_beat(file("beat", r, "txt")));
    if (!b.known) {
      silent += fmt::format("; rank {} has ended or never began", r);
    } else if (!alive(r, b)) {
      silent += fmt::format("; rank {} ({}) has not been heard of for {:.0f} s, "
                            "its last stage was \"{}\"", r, b.who, now - b.time,
                            b.stage);
    } else {
      least = std::min(least, b.collectives);
      most = std::max(most, b.collectives);
    }
  }
  if (!silent.empty()) return silent.substr(2);
  for (int r = 0; r < spec_.size; ++r) {
    const Beat& b = beats[static_cast<std::size_t>(r)];
    if (b.collectives == least && least < most)
      behind += fmt::format("; rank {} ({}) is in stage \"{}\" before collective "
                            "{}, others wait in it", r, b.who, b.stage,
                            least + 1);
  }
  if (!behind.empty()) return behind.substr(2);
  return spec_.size == 1 ? fmt::format("stage \"{}\"", activity_.stage())
                         : "all ranks are at the same collective";
}

void Watchdog::bite(double idle) const {
  beat();
  const auto path = file("hang", spec_.rank, "txt");
  const std::string who = suspects();
  if (spokesman())
    say(STDERR_FILENO, fmt::format("[watchdog] no progress for {:.0f} s: {}; "
                                   "stacks in {}\n", idle, who, path.string()));
  const int f =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (f >= 0) {
    say(f, fmt::format("rank {}, stage \"{}\", no progress for {:.0f} s: {}\n\n"
                       "last collectives:\n", spec_.rank, activity_.stage(), idle,
                       who));
    const std::uint64_t last = activity_.collectives();
    const std::uint64_t first = last - std::min<std::uint64_t>(
                                           last, Activity::kKept);
    for (std::uint64_t i = first + 1; i <= last; ++i) {
      const auto& r = activity_.record(i);
      say(f, fmt::format("  {} {} of {} bytes{}\n", i, r.what.load(),
                         r.bytes.load(), r.done ? "" : ", not finished"));
    }
    write_stacks(f);
    ::close(f);
  }
  // The launcher ends the others when this one ends.
  ::usleep(static_cast<useconds_t>(spec_.grace * 1e6));
  ::_exit(static_cast<int>(ExitCode::kWatchdog));
}

}  // namespace music::dist
