// LIBLINEAR itself beside our solver; built where its header and library are.
#include <doctest/doctest.h>
#include <linear.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "engine/core/rng.h"
#include "music/eval/linear_svm.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using music::test::within;

constexpr int kRows = 60, kWidth = 90;

// Rows that lean one way by their target; `positive` and `negative` are the labels
// that LIBLINEAR is given.
struct Trial {
  std::vector<float> values;
  std::vector<std::int8_t> targets;

  Trial() {
    Rng rng(4, RngPurpose::kTest);
    for (int i = 0; i < kRows; ++i) {
      targets.push_back(i % 4 ? -1 : 1);
      for (int j = 0; j < kWidth; ++j)
        values.push_back(rng.uniform(0, 1) + (j % 7 ? 0.0f : 0.15f) *
                                                 static_cast<float>(targets.back()));
    }
  }

  // Decision values of LIBLINEAR's solver 1, its bias as a feature 1, and the
  // label it calls positive.
  std::vector<double> liblinear(double cost, double positive, double negative,
                                int& first_label) const {
    std::vector<std::vector<feature_node>> nodes(kRows);
    std::vector<feature_node*> rows;
    std::vector<double> labels;
    for (int i = 0; i < kRows; ++i) {
      auto& n = nodes[static_cast<std::size_t>(i)];
      for (int j = 0; j < kWidth; ++j)
        n.push_back({j + 1, values[static_cast<std::size_t>(i * kWidth + j)]});
      n.push_back({kWidth + 1, 1});
      n.push_back({-1, 0});
      rows.push_back(n.data());
      labels.push_back(targets[static_cast<std::size_t>(i)] > 0 ? positive : negative);
    }
    problem p{};
    p.l = kRows, p.n = kWidth + 1, p.y = labels.data(), p.x = rows.data(), p.bias = 1;
    int weight_labels[] = {static_cast<int>(positive), static_cast<int>(negative)};
    double weights[] = {2, 1};
    parameter with{};
    with.solver_type = L2R_L2LOSS_SVC_DUAL;
    with.eps = 1e-6, with.C = cost;
    with.nr_weight = 2, with.weight_label = weight_labels, with.weight = weights;
    set_print_string_function([](const char*) {});
    model* m = train(&p, &with);
    std::vector<double> decisions;
    for (feature_node* row : rows) {
      double value = 0;
      predict_values(m, row, &value);
      decisions.push_back(value);
    }
    first_label = m->label[0];
    free_and_destroy_model(&m);
    return decisions;
  }

  std::vector<double> ours(double cost) const {
    std::vector<std::int64_t> rows(kRows);
    std::iota(rows.begin(), rows.end(), 0);
    const FeatureMatrix matrix{values.data(), kRows, kWidth};
    SvmSolver solver(matrix, rows, targets);
    SvmSpec spec;
    spec.cost = cost;
    spec.tolerance = 1e-6;
    const SvmModel& model = solver.solve(spec);
    std::vector<double> decisions;
    for (int i = 0; i < kRows; ++i) decisions.push_back(model.decision(matrix.row(i)));
    return decisions;
  }
};

double apart(const std::vector<double>& a, const std::vector<double>& b, double sign) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, std::abs(a[i] - sign * b[i]));
  return worst;
}

TEST_SUITE("liblinear") {
  TEST_CASE("decisions are LIBLINEAR's under -1/+1") {
    const Trial trial;
    for (const double cost : {0.01, 1.0, 20.0, 1000.0}) {
      int first = 0;
      const auto theirs = trial.liblinear(cost, 1, -1, first);
      CHECK(within(apart(theirs, trial.ours(cost), 1), 1e-3));
    }
  }

  // Its positive class is the label of the first row: with 0/1 the sign depends on
  // what that is. The first row here is a positive one.
  TEST_CASE("under 0/1 LIBLINEAR's sign is the first row's, ours the target's") {
    Trial trial;
    int first = 0;
    const auto straight = trial.liblinear(1, 1, 0, first);
    CHECK(first == 1);
    CHECK(within(apart(straight, trial.ours(1), 1), 1e-3));
    // A negative row first.
    for (int j = 0; j < kWidth; ++j) std::swap(trial.values[static_cast<std::size_t>(j)],
                                               trial.values[static_cast<std::size_t>(kWidth + j)]);
    std::swap(trial.targets[0], trial.targets[1]);
    const auto turned = trial.liblinear(1, 1, 0, first);
    CHECK(first == 0);
    CHECK(within(apart(turned, trial.ours(1), -1), 1e-3));
  }
}

}  // namespace
