#pragma once
// Weighted k-nearest-neighbour classification of frozen features: cosine
// similarity, vote exp(sim / T) for the neighbour's class (DINO's protocol, as
// the paper's k = 20 and 200; T = 0.07).

#include <cstdint>
#include <vector>

#include "music/eval/features.h"

namespace music {

struct KnnScore {
  int k = 0;
  double top1 = 0, top5 = 0;  // per cent of the test images
};

// Scores every k of the list in one pass over the similarities; a k beyond the
// training set takes all of it. Memory: one block of test rows, no matrix of
// all pairs. A tie between classes goes to the lower label. Throws kData when
// either set has no labels.
std::vector<KnnScore> knn(const Features& train, const Features& test,
                          int classes, const std::vector<int>& k,
                          double temperature = 0.07);

}  // namespace music
