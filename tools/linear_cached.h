#pragma once
// music_linear --cached: features once, without augmentation, and the classifier
// solved to its optimum (music/eval/cached_probe.h). A protocol of its own, in
// seconds; its numbers are not those of training with crops.

#include "data/dataset.h"
#include "music/eval/cached_probe.h"
#include "music/eval/classifier.h"
#include "music/eval/features.h"

namespace music {

struct CachedScore {
  ClassifierScores test;  // of one classifier
  CachedProbe probe;
  double seconds = 0;  // of features and probe
};

// On one process.
CachedScore score_cached(Model& model, const data::Dataset& train,
                         const data::Dataset& test, int classes,
                         const FeatureSpec& features,
                         const CachedProbeSpec& spec);

// What a reader of the score must know, a line each.
std::vector<std::string> notes_of(const CachedScore& score);

}  // namespace music
