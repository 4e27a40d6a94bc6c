#include "engine/io/outage.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/core/counted.h"

namespace music {
namespace {

constexpr int kQuick = 3;  // attempts whatever the cause

std::atomic<double> limit{60};
std::atomic<int> waiting{0};
std::mutex count_mutex;
OutageCount count;

double now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Images that could be read, two a folder: one may be the file in question.
class Witnesses {
 public:
  void add(std::string_view path) {
    const std::string_view folder = folder_of(path);
    const std::lock_guard lock(mutex_);
    if (paths_.size() >= kMost) return;
    if (std::ranges::count(paths_, path) > 0 ||
        std::ranges::count(paths_, folder, folder_of) > 1)
      return;
    paths_.emplace_back(path);
    full_ = paths_.size() >= kMost;
  }
  bool full() const { return full_; }
  // Whether one of those nearest to path can still be read. None at all: yes.
  bool speak_for(std::string_view path) {
    std::vector<std::string> nearest;
    {
      const std::lock_guard lock(mutex_);
      std::size_t most = 0;
      for (const std::string& p : paths_) {
        if (p == path) continue;
        // Folders in common: names say nothing.
        const auto apart = std::ranges::mismatch(p, path).in1;
        const auto common = static_cast<std::size_t>(
            std::count(p.begin(), apart, '/'));
        if (common > most) nearest.clear();
        most = std::max(most, common);
        if (common == most) nearest.push_back(p);
      }
    }
    return nearest.empty() || std::ranges::any_of(nearest, can_be_read);
  }

 private:
  static bool can_be_read(const std::string& path) {
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return false;
    char byte;
    const bool read = pread(descriptor, &byte, 1, 0) >= 0;
    close(descriptor);
    return read;
  }
  static constexpr std::size_t kMost = 64;
  static std::string_view folder_of(std::string_view path) {
    return path.substr(0, std::min(path.rfind('/'), path.size()));
  }
  std::mutex mutex_;
  std::vector<std::string> paths_;
  std::atomic<bool> full_ = false;
} witnesses;

}  // namespace

thread_local int without_waiting = 0;

WithoutWaiting::WithoutWaiting() { ++without_waiting; }
WithoutWaiting::~WithoutWaiting() { --without_waiting; }

bool may_pass(int number) {
  switch (number) {
    case ESTALE: case ETIMEDOUT: case EMFILE: case ENFILE: case EAGAIN:
    case ENOTCONN: case ECONNRESET: case ECONNABORTED: case ECONNREFUSED:
    case EHOSTDOWN: case EHOSTUNREACH: case ENETDOWN: case ENETUNREACH:
    case ENETRESET: case EREMOTEIO: case ESHUTDOWN: case ENOLINK:
      return true;
    default:
      return false;
  }
}

void set_outage_limit(double seconds) { limit = seconds; }
double outage_limit() { return limit; }

OutageCount outage_count() {
  const std::lock_guard lock(count_mutex);
  return count;
}

void note_image_read(const char* path) {
  if (!witnesses.full()) witnesses.add(path);
}

bool Attempts::worth_waiting(int number) const {
  if (!image_) return may_pass(number) || (number == EIO && failures_ <= kQuick);
  const bool known = may_pass(number) || number == EIO || number == ENXIO;
  if (known && failures_ <= kQuick) return true;
  const bool missing = number == ENOENT || number == ENOTDIR || number == EACCES;
  return (known || missing) && !witnesses.speak_for(path_);
}

bool Attempts::again(int number) {
  if (without_waiting > 0) return false;
  if (++failures_ == 1) began_ = now();
  if (!worth_waiting(number)) return false;
  const double most = limit, waited = now() - began_;
  if (waited >= most)
    throw StorageError(
        ExitCode::kUnavailable,
        fmt::format("[io] cannot read {}: {}, for {:.3g} s and {} attempts: "
                    "storage that is away", path_, std::strerror(number), waited,
                    failures_),
        number);
  if (!waited_) {
    waited_ = true;
    first_ = waiting++ == 0;
    if (first_)
      spdlog::warn("[io] cannot read {}: {}; waiting for it, up to {:.3g} s",
                   path_, std::strerror(number), most);
  }
  const double pause = std::min(0.02 * (1 << std::min(failures_ - 1, 6)), 1.0);
  std::this_thread::sleep_for(
      std::chrono::duration<double>(std::min(pause, most - waited)));
  return true;
}

Attempts::~Attempts() {
  if (!waited_) return;
  const double took = now() - began_;
  --waiting;
  {
    const std::lock_guard lock(count_mutex);
    ++count.outages;
    count.attempts += failures_;
    count.seconds += took;
  }
  if (first_ && done_)
    spdlog::warn("[io] {} is back after {:.2f} s and {}", path_, took,
                 counted(failures_, "failed attempt"));
}

}  // namespace music
