#pragma once
// A save in the middle of a step that takes long. After SIGTERM or SIGINT mpirun
// gives its processes a second; a step boundary may be further away. While forward
// and backward run, weights and momentum are still those of the last boundary, and
// running statistics are kept (kept_buffers.h): a thread writes them.

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace music {

class BoundarySave {
 public:
  // save: writes the state of the last boundary; called at most once, on another
  // thread, after a signal (interrupt.h) that others of its kind may follow.
  explicit BoundarySave(std::function<void()> save);
  ~BoundarySave();
  BoundarySave(const BoundarySave&) = delete;
  BoundarySave& operator=(const BoundarySave&) = delete;

  // By the training thread: from here on that state can be read; until here,
  // which waits for a save under way.
  void begin();
  void end();

 private:
  void watch();

  std::function<void()> save_;
  std::mutex state_;  // held by the training thread but between begin() and end()
  bool held_ = true;  // of the training thread
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace music
