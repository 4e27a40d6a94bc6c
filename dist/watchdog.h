#pragma once
// Ends a job in which one process is stuck.
//
// A thread of its own, without MPI or CUDA calls, watches the Activity of this
// process and says once a second, in a file the others can read, that it lives
// and how far it is. When nothing has moved for the limit it writes stage,
// collectives and the stacks of all threads to hang-rank-NNNN.txt, names the
// process the others wait for, and ends this one with ExitCode::kWatchdog;
// the launcher then ends the rest. Time in which this process was stopped does
// not count.

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>

#include "dist/activity.h"

namespace music::dist {

struct WatchdogSpec {
  double limit = 600;  // seconds without progress
  double grace = 1.5;  // seconds the others get to write their reports
  int rank = 0, size = 1;
  // On a file system all ranks share; made if absent.
  std::filesystem::path directory;
};

class Watchdog {
 public:
  // activity must outlive it.
  Watchdog(const Activity& activity, const WatchdogSpec& spec);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  // What a rank last wrote about itself.
  struct Beat {
    bool known = false;
    double time = 0;
    std::uint64_t collectives = 0;
    std::string who, stage;
  };
  static Beat read_beat(const std::filesystem::path& path);

  void watch();
  void beat() const;
  bool alive(int rank, const Beat& beat) const;
  // The first of the ranks that live speaks for all.
  bool spokesman() const;
  // Who holds the job up, by the files of all ranks.
  std::string suspects() const;
  [[noreturn]] void bite(double idle) const;
  std::filesystem::path file(const char* what, int rank,
                             const char* extension) const;

  const Activity& activity_;
  WatchdogSpec spec_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace music::dist
