#pragma once
// The proof that a frozen encoder stays what it was: every bit of its parameters
// and running statistics, and num_batches_tracked.

#include <string>

#include "music/train/trainer.h"

namespace music {

// XXH3-128 of them; "" where the encoder is trained.
std::string frozen_encoder(Trainer& trainer);

// Throws kNumerical where it is no longer that.
void require_unchanged(Trainer& trainer, const std::string& before);

}  // namespace music
