#pragma once
// music_linear --cached: the cached probe (music/eval/cached_probe.h) of an
// encoder, its features extracted by all processes.

#include <filesystem>
#include <string>
#include <vector>

#include "dist/communicator.h"
#include "music/config/config.h"
#include "music/eval/classifier.h"

namespace music {

struct CachedScore {
  ClassifierScores test;           // one classifier
  LeftOut train_left_out;
  std::vector<std::string> notes;  // what a reader of the score must know
};

// Throws kUsage for a flag of training, which decides nothing here.
void refuse_training_flags(const ResolvedConfig& config);

// The share of each class's training images that a weight decay is chosen by:
// data.holdout of them, or else a tenth.
double cached_share(const Config& config);

// weights: an encoder's file; empty: drawn by seed. The score is rank 0's; the
// others' is empty. Collective.
CachedScore score_cached(const Config& config,
                         const std::filesystem::path& weights,
                         std::uint64_t seed, dist::Communicator& communicator);

}  // namespace music
