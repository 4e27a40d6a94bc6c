#pragma once
// Attempts to save a run on storage that may be full or away: a failure is no end,
// it warns, and the next attempt comes some time later (due_save.h).

#include <functional>

#include "music/train/due_save.h"

namespace music {

// How often and how long storage was away, where it was.
void say_outages();

class Saves {
 public:
  // save throws StorageError where storage is in the way; other errors pass.
  explicit Saves(std::function<void()> save) : save_(std::move(save)) {}

  void ask() { due_.ask(); }
  // Where a save is due and no failure is too recent. Three failures in a row are
  // an Error: kDiskFull, or kUnavailable whatever else the system says, since what
  // could be written to before may be again.
  void if_due() {
    if (due_.now(DueSave::Clock::now())) attempt();
  }
  void attempt();
  // The run is about to end: at once, whenever the last failure was, and again for
  // three seconds.
  void soon();
  // There is nothing else to do: waits until what is due is saved. A signal
  // (interrupt.h) makes it soon().
  void at_last();

 private:
  std::function<void()> save_;
  DueSave due_;
};

}  // namespace music
