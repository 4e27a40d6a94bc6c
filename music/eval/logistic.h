#pragma once
// Multinomial logistic regression on rows of features, solved to its optimum:
// the W [classes, width] and b [classes] where
//
//   mean over rows of -log softmax(W x + b)[label]  +  decay / 2 * ||W||^2
//
// is least. b has no penalty. scikit-learn's LogisticRegression with C = 1 /
// (rows * decay) has the same optimum (with two classes it has another penalty).

#include <cstdint>
#include <span>
#include <vector>

#include "music/eval/features.h"

namespace music {

// A linear classifier.
struct LinearHead {
  std::int64_t classes = 0, width = 0;
  std::vector<float> weight;  // [classes, width]
  std::vector<float> bias;    // [classes]
};

struct LogisticSpec {
  double decay = 1e-4;  // above 0
  // Of the gradient's largest element, where every feature has the scale that
  // gives the objective about unit curvature.
  double tolerance = 1e-5;
  int most_steps = 1000;
};

struct LogisticFit {
  LinearHead head;
  double objective = 0;
  double loss = 0;      // the mean cross-entropy in it
  double gradient = 0;  // as LogisticSpec::tolerance
  int steps = 0, evaluations = 0;
  bool converged = false;
};

// Rows to be solved for one decay or, each starting from the last, for several.
class LogisticProblem {
 public:
  // Copies the rows, standardised: less its mean and over its deviation a feature
  // makes the same classifiers and a better-shaped problem. Throws kData for
  // features that are not finite or labels out of range.
  LogisticProblem(const Features& features, int classes);

  // L-BFGS in double on products in fp32, which are added in double over blocks
  // of rows; so the objective is the optimum's to about 1e-6. start: a head to
  // begin from, as the one of the next larger decay; null: zero weights and the
  // classes' frequencies. A class without rows has weight zero and a bias that
  // gives it no probability. Memory: six heads in double and twenty in float.
  // Throws kUsage for a decay that is not above 0.
  LogisticFit solve(const LogisticSpec& spec, const LinearHead* start = nullptr);

  std::int64_t rows() const { return rows_.count; }
  // Mean of the features' variances: the scale of a decay that suits them.
  double mean_variance() const { return mean_variance_; }

 private:
  class Objective;

  Features rows_;  // standardised; labels count the classes that have rows
  std::int64_t all_classes_;
  std::vector<std::size_t> present_;   // classes with rows
  std::vector<double> share_;          // of the rows
  std::vector<double> mean_, deviation_;  // of the features
  double mean_variance_ = 0;
};

// The objective of any head, and its gradient into both spans where they are not
// empty: what solve() makes least, for tests and reports.
double logistic_objective(const Features& features, const LinearHead& head,
                          double decay, std::span<double> weight_gradient = {},
                          std::span<double> bias_gradient = {});

}  // namespace music
