#pragma once
// Scores of trained classifiers on labelled images: what a linear probe and
// fine-tuning end with.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "dist/communicator.h"
#include "music/eval/features.h"
#include "music/model/model.h"

namespace music {

// Sums over images. A hit is as in top_hits.h: a label whose logit others equal
// gains nothing by it.
struct LogitCounts {
  std::int64_t top1 = 0, top5 = 0;
  double loss = 0;  // cross-entropy

  void add(std::span<const float> logits, int label);
};

struct ClassifierScore {
  std::string name;            // of the classifier, "" for one alone
  double top1 = 0, top5 = 0;   // per cent of the images
  double loss = 0;             // mean cross-entropy
};

struct ClassifierScores {
  std::int64_t images = 0;  // scored
  LeftOut left_out;
  std::vector<ClassifierScore> classifiers;

  // The one with the highest top-1, the first of equal ones.
  const ClassifierScore& best() const;
};

// Every image once, shared out over the processes, all of which get the scores;
// counts do not depend on their number. With up to five classes top-5 is 100 %
// and says nothing. Throws kData for a label that is not of the model's classes,
// and what the loader throws. Collective.
ClassifierScores score_classifiers(Model& model, const data::Dataset& dataset,
                                   const FeatureSpec& spec,
                                   dist::Communicator& communicator);

}  // namespace music
