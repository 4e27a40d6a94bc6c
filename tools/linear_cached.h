#pragma once
// music_linear --cached: features once, without augmentation, and the classifier
// solved to its optimum for every weight decay. A protocol of its own, in
// seconds; its numbers are not those of training with crops.

#include <cstdint>
#include <vector>

#include "data/dataset.h"
#include "music/eval/classifier.h"
#include "music/eval/features.h"

namespace music {

struct CachedSpec {
  FeatureSpec features;
  // Weight decays; empty: 1e-6 to 1 times the features' mean variance, in tens.
  std::vector<double> decays;
};

struct CachedScores {
  std::vector<double> decays;  // as solved, descending
  ClassifierScores test;       // a classifier a decay
  ClassifierScores holdout;    // images = 0: there are none
  bool converged = true;       // all
};

// holdout may be null. On one process.
CachedScores score_cached(Model& model, const data::Dataset& train,
                          const data::Dataset& test,
                          const data::Dataset* holdout, int classes,
                          const CachedSpec& spec);

}  // namespace music
