#include "music/train/saves.h"

#include <spdlog/spdlog.h>

#include <thread>

#include "engine/core/counted.h"
#include "engine/io/outage.h"
#include "music/train/interrupt.h"

namespace music {
namespace {

[[noreturn]] void give_up(const StorageError& e) {
  throw error(e.code() == ExitCode::kDiskFull ? e.code() : ExitCode::kUnavailable,
              "{}; start it again when it can be written to", e.what());
}

}  // namespace

void say_outages() {
  const OutageCount n = outage_count();
  if (n.outages > 0)
    spdlog::info("[io] storage was away {}, for {:.1f} s in all",
                 counted(n.outages, "time"), n.seconds);
}

void Saves::attempt() {
  try {
    save_();
    due_.done();
  } catch (const StorageError& e) {
    if (!due_.failed(DueSave::Clock::now())) give_up(e);
    spdlog::warn("{}; training goes on, next attempt in {} s", e.what(),
                 due_.wait().count());
  }
}

void Saves::soon() {
  constexpr auto kMost = std::chrono::seconds(3);
  const auto begin = DueSave::Clock::now();
  for (;;) {
    try {
      save_();
      return due_.done();
    } catch (const StorageError& e) {
      if (DueSave::Clock::now() - begin >= kMost) give_up(e);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

void Saves::at_last() {
  while (due_.due()) {
    if (InterruptGuard::pending()) return soon();
    if (due_.now(DueSave::Clock::now())) attempt();
    else std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace music
