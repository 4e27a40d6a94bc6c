#pragma once
// What makes a run this run and no other: its configuration with nothing left
// open, and its data.

#include <memory>
#include <string>

#include "data/dataset.h"
#include "dist/communicator.h"
#include "music/config/config.h"

namespace music {

// The images the run learns from. Throws what opening them and choosing the
// labels does.
std::unique_ptr<data::Dataset> open_training_data(const Config& config);
// Those that data.holdout keeps from it.
std::unique_ptr<data::Dataset> open_held_out(const Config& config);

// With the device and the precision the run will have, before anything else
// sees it: one run has one configuration, and a checkpoint is not continued in
// another precision. Throws what choose_compute() does.
ResolvedConfig settled(ResolvedConfig config,
                       const dist::Communicator& communicator);

// The number, names and labels of the images, the same on all ranks, as are the
// settings that decide and the program's version: kUsage names what differs,
// before anything expensive, since such processes would train on, wrongly.
// Collective.
std::string agreed_fingerprint(const Config& config,
                               const data::Dataset& dataset,
                               dist::Communicator& communicator);

}  // namespace music
