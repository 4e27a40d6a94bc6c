#include "music/eval/svm.h"

#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "music/eval/average_precision.h"
#include "tests/dist/world.h"
#include "tests/support/golden.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using music::test::near;
using music::test::within;

// scikit-learn's numbers: tools/make_svm_goldens.py.
struct SvmGolden {
  SafetensorsFile file = SafetensorsFile::open(
      std::string(MUSIC_TEST_SOURCE_DIR) + "/golden/svm.safetensors");

  template <typename T>
  std::span<const T> values(const char* name) const {
    const TensorEntry* t = file.find(name);
    REQUIRE(t);
    return {reinterpret_cast<const T*>(t->data.data()),
            t->data.size() / sizeof(T)};
  }
  FeatureMatrix features(const char* name) const {
    const TensorEntry* t = file.find(name);
    return {values<float>(name).data(), t->shape[0], t->shape[1]};
  }
  SvmTargets targets(const char* name) const {
    const auto all = values<std::int64_t>(name);
    const auto n = static_cast<std::size_t>(file.find(name)->shape[1]);
    SvmTargets targets;
    for (std::size_t c = 0; c * n < all.size(); ++c)
      targets.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(c * n),
                           all.begin() + static_cast<std::ptrdiff_t>((c + 1) * n));
    return targets;
  }
  // Its features live in this object.
  SvmTask task() const {
    return {features("features/train"), features("features/test"),
            {"a", "b", "c"}, targets("targets/train"), targets("targets/test")};
  }
};

const SvmGolden& golden() {
  static const SvmGolden opened;
  return opened;
}

double hinge_objective(const SvmTask& task, std::size_t c, const SvmSpec& spec,
                       const std::vector<double>& w, double bias) {
  double sum = 0.5 * bias * bias;
  for (const double v : w) sum += 0.5 * v * v;
  for (std::int64_t i = 0; i < task.train.count; ++i) {
    double f = bias;
    for (std::int64_t j = 0; j < task.train.width; ++j)
      f += w[static_cast<std::size_t>(j)] * double{task.train.row(i)[j]};
    const double y =
        task.train_targets[c][static_cast<std::size_t>(i)] > 0 ? 1 : -1;
    const double gap = std::max(0.0, 1 - y * f);
    sum += spec.cost * (y > 0 ? spec.positive_weight : spec.negative_weight) *
           gap * gap;
  }
  return sum;
}

SvmSolver solver_of(const SvmTask& task, std::size_t c) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(task.train.count));
  std::iota(rows.begin(), rows.end(), 0);
  std::vector<std::int8_t> targets;
  for (const auto t : task.train_targets[c])
    targets.push_back(t > 0 ? std::int8_t{1} : std::int8_t{-1});
  return SvmSolver(task.train, rows, targets);
}

// Two threads and one process: whatever is set is set back.
struct Threads {
  int before = omp_get_max_threads();
  explicit Threads(int n) { omp_set_num_threads(n); }
  ~Threads() { omp_set_num_threads(before); }
};

TEST_SUITE("svm") {
  TEST_CASE("decisions and average precision are scikit-learn's") {
    const SvmTask task = golden().task();
    const auto decisions = golden().values<double>("decisions");
    const auto precision = golden().values<double>("average_precision");
    const auto envelope = golden().values<double>("envelope");
    const SvmProtocol protocol;
    std::size_t at = 0, cell = 0;
    for (std::size_t c = 0; c < task.classes.size(); ++c) {
      SvmSolver warm = solver_of(task, c);
      for (const double cost : protocol.costs) {
        CAPTURE(c);
        CAPTURE(cost);
        SvmSpec spec;
        spec.cost = cost;
        SvmSolver cold = solver_of(task, c);
        for (SvmSolver* solver : {&cold, &warm}) {
          const SvmModel& model = solver->solve(spec);
          CHECK(model.converged);
          std::vector<double> scores;
          double worst = 0;
          for (std::int64_t i = 0; i < task.test.count; ++i) {
            scores.push_back(model.decision(task.test.row(i)));
            worst = std::max(worst,
                             std::abs(scores.back() -
                                      decisions[at + static_cast<std::size_t>(i)]));
          }
          CHECK(within(worst, 1e-3));
          CHECK(near(average_precision(scores, task.test_targets[c]),
                     precision[cell], 1e-3));
          CHECK(near(envelope_precision(scores, task.test_targets[c]),
                     envelope[cell], 1e-3));
        }
        at += static_cast<std::size_t>(task.test.count);
        ++cell;
      }
    }
  }

  TEST_CASE("costs are chosen as scikit-learn's cross_val_score would") {
    const SvmTask task = golden().task();
    const auto folds = golden().values<std::int64_t>("folds");
    const auto validated = golden().values<double>("cross_validated");
    std::size_t at = 0;
    const SvmProtocol protocol;
    const auto scores = svm_scores(task, protocol);
    for (std::size_t c = 0; c < task.classes.size(); ++c) {
      std::vector<std::int8_t> targets;
      for (const auto t : task.train_targets[c])
        targets.push_back(t > 0 ? std::int8_t{1} : std::int8_t{-1});
      for (const int f : stratified_folds(targets, 3)) CHECK(f == folds[at++]);
      const auto mine =
          validated.subspan(c * protocol.costs.size(), protocol.costs.size());
      const double best = *std::ranges::max_element(mine);
      CHECK(near(scores[c].cross_validated, best, 1e-3));
      const auto chosen = static_cast<std::size_t>(
          std::ranges::find(protocol.costs, scores[c].cost) -
          protocol.costs.begin());
      CHECK(near(mine[chosen], best, 1e-3));
      CHECK(scores[c].unconverged == 0);
    }
  }

  TEST_CASE("no small step from the solution makes the objective smaller") {
    const SvmTask task = golden().task();
    SvmSpec spec;
    spec.cost = 5;
    spec.tolerance = 1e-9;
    SvmSolver solver = solver_of(task, 1);
    const SvmModel model = solver.solve(spec);
    REQUIRE(model.converged);
    const double least =
        hinge_objective(task, 1, spec, model.weights, model.bias);
    for (const double step : {1e-4, -1e-4}) {
      CHECK(hinge_objective(task, 1, spec, model.weights, model.bias + step) >
            least);
      for (std::size_t j = 0; j < model.weights.size(); j += 7) {
        std::vector<double> w = model.weights;
        w[j] += step;
        CHECK(hinge_objective(task, 1, spec, w, model.bias) > least);
      }
    }
  }

  // LIBLINEAR calls the label of the first row +1, whatever it is.
  TEST_CASE("the order of rows and labels turns no sign") {
    const SvmTask task = golden().task();
    SvmSpec spec;
    spec.tolerance = 1e-8;
    std::vector<double> expected;
    for (const int first : {1, -1}) {
      std::vector<std::int64_t> rows;
      std::vector<std::int8_t> targets;
      for (const int wanted : {first, -first})
        for (std::int64_t i = 0; i < task.train.count; ++i) {
          const bool shown =
              task.train_targets[0][static_cast<std::size_t>(i)] > 0;
          if (shown != (wanted > 0)) continue;
          rows.push_back(i);
          targets.push_back(static_cast<std::int8_t>(wanted));
        }
      SvmSolver solver(task.train, rows, targets);
      const SvmModel model = solver.solve(spec);
      std::vector<double> scores;
      for (std::int64_t i = 0; i < task.test.count; ++i)
        scores.push_back(model.decision(task.test.row(i)));
      CHECK(average_precision(scores, task.test_targets[0]) > 0.9);
      if (expected.empty()) expected = scores;
      for (std::size_t i = 0; i < scores.size(); ++i)
        CHECK(near(scores[i], expected[i], 1e-6));
    }
    CHECK_THROWS_WITH(SvmSolver(task.train, {0, 1}, {1, 0}),
                      "[svm] a target of 0, expected 1 or -1");
    CHECK_THROWS_WITH(SvmSolver(task.train, {0, 1}, {1, 2}),
                      "[svm] a target of 2, expected 1 or -1");
  }

  TEST_CASE("a problem that is not solved in time says so") {
    const SvmTask task = golden().task();
    SvmSpec spec;
    spec.cost = 1000;
    spec.iterations = 2;
    SvmSolver solver = solver_of(task, 2);
    CHECK(!solver.solve(spec).converged);
    SvmProtocol protocol;
    protocol.solver.iterations = 2;
    CHECK(svm_scores(task, protocol)[0].unconverged > 0);
  }

  TEST_CASE("the same to the bit for any number of threads") {
    const SvmTask task = golden().task();
    std::vector<std::vector<double>> results;
    for (const int threads : {1, 2, 5}) {
      const Threads set(threads);
      std::vector<double> all;
      for (const auto& s : svm_scores(task, {})) {
        all.insert(all.end(), s.decisions.begin(), s.decisions.end());
        all.insert(all.end(), {s.ap, s.cost, s.cross_validated});
      }
      SvmProtocol protocol;
      for (const auto& s : low_shot_scores(task, protocol, {{1, 3}, 2, 2}))
        all.insert(all.end(), s.map.begin(), s.map.end());
      results.push_back(all);
    }
    CHECK(results[0] == results[1]);
    CHECK(results[0] == results[2]);
  }

  TEST_CASE("a difficult image is a negative in training and left out of a test") {
    SvmTask task = golden().task();
    const double with = svm_scores(task, {})[0].ap;
    SvmTask negatives = task;
    for (auto& t : negatives.train_targets[0])
      if (t == 0) t = -1;
    CHECK(svm_scores(negatives, {})[0].ap == with);
    // The best negative is difficult: the ranking gains.
    const auto scores = svm_scores(task, {})[0].decisions;
    std::size_t worst = task.test_targets[0].size();
    for (std::size_t i = 0; i < scores.size(); ++i)
      if (task.test_targets[0][i] < 0 &&
          (worst == scores.size() || scores[i] > scores[worst]))
        worst = i;
    task.test_targets[0][worst] = 0;
    CHECK(svm_scores(task, {})[0].ap > with);
  }

  TEST_CASE("a class without test images has no score, the others theirs") {
    const SvmTask all = golden().task();
    SvmTask task = all;
    std::ranges::fill(task.test_targets[1], std::int8_t{-1});
    const auto with = svm_scores(all, {}), without = svm_scores(task, {});
    CHECK(std::isnan(without[1].ap));
    CHECK(without[0].ap == with[0].ap);
    CHECK(mean_ap(without) ==
          doctest::Approx((with[0].ap + with[2].ap) / 2).epsilon(1e-12));
    LowShotSpec spec;
    spec.positives = {2};
    for (const double map : low_shot_scores(task, {}, spec)[0].map)
      CHECK(std::isfinite(map));
  }

  TEST_CASE("what cannot be scored is refused by name") {
    const SvmTask good = golden().task();
    SvmTask task = good;
    for (auto& targets : task.test_targets)
      std::ranges::fill(targets, std::int8_t{-1});
    CHECK_THROWS_WITH(svm_scores(task, {}),
                      "[svm] no class has a test image, expected one at least");
    task = good;
    std::ranges::fill(task.train_targets[2], std::int8_t{-1});
    task.train_targets[2][7] = 1;
    CHECK_THROWS_WITH(svm_scores(task, {}),
                      "[svm] class c has 1 training images and 119 others, "
                      "expected 3 of each at least");
    SvmProtocol one;
    one.costs = {1};
    CHECK_NOTHROW(svm_scores(task, one));
    CHECK_THROWS_WITH(low_shot_scores(good, {}, {{24}, 2, 1}),
                      "[svm] class a has 23 positive training images, expected 24 "
                      "at least");
    std::vector<float> values(good.test.values,
                              good.test.values + good.test.count * good.test.width);
    values[9] = std::nanf("");
    task = good;
    task.test.values = values.data();
    CHECK_THROWS_WITH(svm_scores(task, {}),
                      "[svm] a test feature is not finite, expected numbers");
  }

  TEST_CASE("one against the rest: the largest decision is the answer") {
    const std::vector<int> labels{2, 0, 1};
    const SvmTargets targets = one_against_rest(labels, 3);
    CHECK(targets == SvmTargets{{-1, 1, -1}, {-1, -1, 1}, {1, -1, -1}});
    std::vector<SvmClassScore> scores(3);
    scores[0].decisions = {0.1, 0.5, -3};
    scores[1].decisions = {0.2, 0.4, -2};
    scores[2].decisions = {0.3, 0.3, -1};
    CHECK(svm_accuracy(scores, labels) == doctest::Approx(2.0 / 3));
  }

  TEST_CASE("rows are divided by their length and a little") {
    std::vector<float> rows{3, 4, 0, 0};
    normalise_rows(rows.data(), 2, 2);
    CHECK(near(rows[0], 3 / 5.00001, 1e-6));
    CHECK(near(rows[1], 4 / 5.00001, 1e-6));
    CHECK(rows[2] == 0);
  }

  TEST_CASE("low shot: other draws, other scores; more examples score better") {
    const SvmTask task = golden().task();
    const auto scores = low_shot_scores(task, {}, {{1, 16}, 2, 4});
    REQUIRE(scores.size() == 2);
    CHECK(scores[0].positives == 1);
    REQUIRE(scores[0].map.size() == 4);
    CHECK(scores[0].map[0] != scores[0].map[1]);
    const auto mean = [](const LowShotScore& s) {
      return std::accumulate(s.map.begin(), s.map.end(), 0.0) / 4;
    };
    CHECK(mean(scores[1]) > mean(scores[0]));
  }

  // As one process or as several of a job.
  TEST_CASE("processes that share out the classes get the scores of one") {
    const SvmTask task = golden().task();
    SvmProtocol shared;
    shared.communicator = &test::world();
    const auto alone = svm_scores(task, {}), together = svm_scores(task, shared);
    for (std::size_t c = 0; c < alone.size(); ++c) {
      CHECK(alone[c].ap == together[c].ap);
      CHECK(alone[c].cost == together[c].cost);
      CHECK(alone[c].decisions == together[c].decisions);
    }
    const LowShotSpec few{{2}, 3, 2};
    CHECK(low_shot_scores(task, {}, few)[0].map ==
          low_shot_scores(task, shared, few)[0].map);
  }
}

TEST_SUITE("average_precision") {
  const std::vector<std::int8_t> kMixed{1, -1, 1, -1, -1, 1};

  TEST_CASE("by hand") {
    // Hits at ranks 1, 3 and 6: precisions 1, 2/3, 1/2.
    const std::vector<double> down{6, 5, 4, 3, 2, 1};
    CHECK(near(average_precision(down, kMixed), (1 + 2.0 / 3 + 0.5) / 3, 1e-15));
    CHECK(near(envelope_precision(down, kMixed), (1 + 2.0 / 3 + 0.5) / 3, 1e-15));
    // Hits at ranks 4 and 5: precision rises from 1/4 to 2/5, and the envelope is
    // the later one.
    const std::vector<std::int8_t> late{-1, -1, -1, 1, 1};
    const std::vector<double> five{5, 4, 3, 2, 1};
    CHECK(near(average_precision(five, late), (0.25 + 0.4) / 2, 1e-15));
    CHECK(near(envelope_precision(five, late), 0.4, 1e-15));
  }

  TEST_CASE("perfect, hopeless, and images that are left out") {
    const std::vector<double> scores{9, 8, 7, 1};
    CHECK(envelope_precision(scores, std::vector<std::int8_t>{1, 1, -1, -1}) == 1);
    CHECK(envelope_precision(scores, std::vector<std::int8_t>{0, 1, -1, 0}) == 1);
    CHECK(envelope_precision(scores, std::vector<std::int8_t>{-1, -1, -1, 1}) ==
          0.25);
    CHECK(std::isnan(
        envelope_precision(scores, std::vector<std::int8_t>{-1, 0, -1, -1})));
    CHECK_THROWS_WITH(
        average_precision(std::vector<double>{1, NAN}, std::vector<std::int8_t>{1, 1}),
        "[svm] the score of image 1 is NaN");
  }

  // Constant scores say nothing, whatever order the list has.
  TEST_CASE("equal scores come at once") {
    const std::vector<double> same(6, 0.5);
    CHECK(average_precision(same, kMixed) == 0.5);
    CHECK(envelope_precision(same, kMixed) == 0.5);
    const std::vector<double> pairs{2, 2, 1, 1};
    const std::vector<std::int8_t> a{1, -1, 1, -1}, b{-1, 1, -1, 1};
    CHECK(average_precision(pairs, a) == average_precision(pairs, b));
  }
}

}  // namespace
