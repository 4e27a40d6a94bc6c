#pragma once
// Classes scored one by one by a linear SVM on frozen features, as PASCAL VOC is
// (the VOC07 protocol of FAIR's benchmark of self-supervised learning; Goyal et
// al., ICCV 2019).

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "dist/communicator.h"
#include "music/eval/linear_svm.h"

namespace music {

// x / (|x| + 1e-5) for every row, in place.
void normalise_rows(float* values, std::int64_t count, std::int64_t width);

using SvmTargets = std::vector<std::vector<std::int8_t>>;  // [class][image]

// 1 where the label is the class, else -1.
SvmTargets one_against_rest(std::span<const int> labels, int classes);

struct SvmTask {
  FeatureMatrix train, test;
  std::vector<std::string> classes;
  // 1, -1, or 0 for difficult: a negative in training, left out of a test.
  SvmTargets train_targets, test_targets;
};

struct SvmProtocol {
  // Ascending; of several, each class takes the one of the best mean average
  // precision over the folds, the smallest of equals.
  std::vector<double> costs{.01, .1, 1, 2, 5, 10, 15, 20, 50, 100, 1000};
  int folds = 3;  // stratified, not shuffled (scikit-learn's StratifiedKFold)
  SvmSpec solver;
  // Its processes share out the classes; all have the task and get all scores.
  dist::Communicator* communicator = nullptr;
  std::function<void(std::int64_t done, std::int64_t all)> progress;
};

struct SvmClassScore {
  double ap = 0;  // area under the precision envelope, 0 to 1; NaN: not tested
  double cost = 0;
  double cross_validated = 0;  // that cost's mean average precision; one cost: 0
  std::int64_t unconverged = 0;  // problems that stopped at the last iteration
  std::vector<double> decisions;  // [test]
};

// Classes in parallel over OpenMP's threads; the result does not depend on their
// number, nor on the number of processes. Throws kData, naming the class, where
// it has fewer positive or negative images than folds; where no class has any to
// be tested on.
std::vector<SvmClassScore> svm_scores(const SvmTask& task,
                                      const SvmProtocol& protocol);

// Of the classes that are tested.
double mean_ap(const std::vector<SvmClassScore>& scores);
// Share of the images whose class has the largest decision.
double svm_accuracy(const std::vector<SvmClassScore>& scores,
                    std::span<const int> labels);

// The fold of each target.
std::vector<int> stratified_folds(std::span<const std::int8_t> targets,
                                  int folds);

struct LowShotSpec {
  std::vector<int> positives{1, 2, 4, 8, 16, 32, 64, 96};  // k
  int negatives = 19;  // for each positive image
  int samples = 5;     // draws of examples, by the solver's seed
};

struct LowShotScore {
  int positives = 0;
  double cost = 0;  // of the best mean: there is nothing to cross-validate on
  std::vector<double> map;  // of each draw, 0 to 1
  std::int64_t unconverged = 0;
};

// Throws kData, naming the class, where a k asks for more images than it has.
std::vector<LowShotScore> low_shot_scores(const SvmTask& task,
                                          const SvmProtocol& protocol,
                                          const LowShotSpec& spec);

}  // namespace music
