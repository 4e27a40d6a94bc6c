#pragma once
// Whether a checkpoint is one that a configuration may go on from.

#include <optional>
#include <string>

#include "music/config/config.h"
#include "music/files/checkpoint.h"
#include "music/train/trainer.h"

namespace music {

// What a run that goes on is, beside its weights.
struct GoesOn {
  std::string run_id = {};   // whose checkpoints these are
  std::string weights = {};  // hash of the file it was started from, or ""
  double seconds = 0;        // spent so far
  // "100@4800 200@9600": epochs it was meant to have, and the step at which that
  // changed.
  std::string extended = {};
  // The same where it has just changed.
  std::optional<std::int64_t> epochs_before = {};
};

// Throws kUsage for a checkpoint of another configuration, other data or other
// weights. One that differs by fewer epochs alone is gone on from where `extend`;
// data: fingerprint; weights: hash of the file that the configuration names, ""
// where it names none or it has gone.
GoesOn goes_on(const Checkpoint& checkpoint, const Config& config, bool extend,
               const std::string& data, const std::string& weights);

// Of a trainer that has restored such a checkpoint, whose epochs have changed: what
// that does to the learning rate.
std::string describe_extension(const GoesOn& run, const Trainer& trainer);

}  // namespace music
