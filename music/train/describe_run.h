#pragma once
// What the log says of a run before its first step.

#include "dist/communicator.h"
#include "music/config/config.h"
#include "music/train/trainer.h"

namespace music {

void describe_run(const Config& config, const data::Dataset& dataset,
                  const dist::Communicator& communicator, Trainer& trainer);

}  // namespace music
