#include "music/train/boundary_save.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <exception>
#include <utility>

#include "engine/core/error.h"
#include "music/train/interrupt.h"

namespace music {

using std::chrono::milliseconds;

BoundarySave::BoundarySave(std::function<void()> save) : save_(std::move(save)) {
  state_.lock();
  thread_ = std::thread([this] { watch(); });
}

// After an exception the training thread may not hold the state.
BoundarySave::~BoundarySave() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (held_) state_.unlock();
  thread_.join();
}

void BoundarySave::begin() {
  held_ = false;
  state_.unlock();
}

void BoundarySave::end() {
  state_.lock();
  held_ = true;
}

void BoundarySave::watch() {
  const auto stopped_within = [&](milliseconds time) {
    std::unique_lock lock(mutex_);
    return wake_.wait_for(lock, time, [&] { return stop_; });
  };
  while (!InterruptGuard::pending())
    if (stopped_within(milliseconds(50))) return;
  // A boundary that is near is better; SIGUSR1 leaves time for one.
  if (exit_code_of(InterruptGuard::pending()) ==
          static_cast<int>(ExitCode::kPreempted) ||
      stopped_within(milliseconds(200)))
    return;
  const std::lock_guard lock(state_);
  if (stopped_within(milliseconds(0))) return;
  try {
    save_();
  } catch (const std::exception& e) {
    spdlog::warn("[run] not saved before the end of the step: {}", e.what());
  }
}

}  // namespace music
