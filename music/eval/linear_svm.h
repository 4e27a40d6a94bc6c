#pragma once
// A linear support vector machine of two classes, with squared hinge loss:
//
//   min  |w|^2 / 2 + b^2 / 2 + sum_i C_i max(0, 1 - y_i (w x_i + b))^2
//
// b is the weight of a constant feature 1 and is regularised like the others.
// The dual is solved by coordinate descent with shrinking (Hsieh et al., ICML
// 2008, algorithm 3), which is what LIBLINEAR's solver 1 and scikit-learn's
// LinearSVC(dual=True) run; theirs draws from rand(), which threads share, and
// LIBLINEAR's iterations have no limit that a caller can set. Here the order is
// the seed's alone, y is +1 or -1 and nothing else, so that no order of labels
// turns a sign, and the rows are dense and shared by all problems.

#include <cstdint>
#include <span>
#include <vector>

namespace music {

// [count, width], somebody else's.
struct FeatureMatrix {
  const float* values = nullptr;
  std::int64_t count = 0, width = 0;
  const float* row(std::int64_t i) const { return values + i * width; }
};

struct SvmSpec {
  double cost = 1;                                  // C
  double positive_weight = 2, negative_weight = 1;  // C_i = C * weight of y_i
  double tolerance = 1e-4;   // of the largest difference of projected gradients
  int iterations = 2000;     // passes over the active rows, at most
  std::uint64_t seed = 0;    // of the order of rows
};

struct SvmModel {
  std::vector<double> weights;
  double bias = 0;
  int iterations = 0;
  bool converged = false;

  double decision(const float* row) const;
};

// Solves problems on one set of rows one after the other; each begins where the
// one before ended, so that growing costs come cheap.
class SvmSolver {
 public:
  // rows: of the matrix, those that take part; target[i] of rows[i]: +1 or -1.
  // Throws kInternal for other targets.
  SvmSolver(const FeatureMatrix& matrix, std::vector<std::int64_t> rows,
            std::vector<std::int8_t> targets);

  // seed and spec decide the result to the bit.
  const SvmModel& solve(const SvmSpec& spec);

 private:
  FeatureMatrix matrix_;
  std::vector<std::int64_t> rows_;
  std::vector<std::int8_t> targets_;
  std::vector<double> squares_;  // |x|^2 + 1
  std::vector<double> alpha_;
  SvmModel model_;
};

}  // namespace music
