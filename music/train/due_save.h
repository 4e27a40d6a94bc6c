#pragma once
// When to write a checkpoint that is due: at once, or where the disk was full
// some time after that, whatever becomes due meanwhile.

#include <chrono>

namespace music {

class DueSave {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr int kMostFailures = 3;  // in a row

  void ask() { due_ = true; }
  bool due() const { return due_; }
  bool now(Clock::time_point t) const { return due_ && t >= retry_; }
  void done() { *this = {}; }
  // It failed and stays due. False: that was once too often.
  bool failed(Clock::time_point t) {
    due_ = true;
    if (++failures_ >= kMostFailures) return false;
    retry_ = t + wait();
    return true;
  }
  // From the last failure to the next attempt: 20 s, then 40 s.
  std::chrono::seconds wait() const { return std::chrono::seconds(10 << failures_); }

 private:
  bool due_ = false;
  int failures_ = 0;
  Clock::time_point retry_{};
};

}  // namespace music
