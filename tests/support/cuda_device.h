#pragma once
// Tests of the GPU side: on a device where there is one; the same sources in
// test_emulated run everywhere, under every schedule of the emulator.

#include <doctest/doctest.h>

#include <string>

#include "engine/core/device_runtime.h"
#ifdef MUSIC_EMULATED
#include "tests/emulator/executor.h"
#endif

namespace music::test {

// True when there is a device; says [skipped] once otherwise.
inline bool have_device() {
  if (cuda::device_count() > 0) return true;
  MESSAGE("[skipped] " << cuda::why_no_device());
  return false;
}

// Calls fn() once on a device, or under each schedule of the emulator.
template <typename F>
void on_device(F&& fn) {
  if (!have_device()) return;
#ifdef MUSIC_EMULATED
  for (const auto schedule :
       {emulator::Schedule::kForward, emulator::Schedule::kReverse}) {
    emulator::set_schedule(schedule);
    CAPTURE(static_cast<int>(schedule));
    fn();
  }
  emulator::set_schedule(emulator::Schedule::kForward);
#else
  cuda::select_device(0);
  fn();
#endif
}

}  // namespace music::test
