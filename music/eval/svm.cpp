#include "music/eval/svm.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <numeric>

#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "music/eval/average_precision.h"

namespace music {
namespace {

// Runs job(i) for i < count on OpenMP's threads; throws what the first of them
// threw.
template <typename Job>
void run_jobs(std::int64_t count, const SvmProtocol& protocol, Job job) {
  std::exception_ptr failure;
  std::int64_t done = 0;
#pragma omp parallel for schedule(dynamic, 1)
  for (std::int64_t i = 0; i < count; ++i) {
    try {
      job(i);
#pragma omp critical(music_svm)
      if (protocol.progress) protocol.progress(++done, count);
    } catch (...) {
#pragma omp critical(music_svm)
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

// Numbers of this process's jobs become everybody's: each is computed by one.
void share(std::vector<double>& values, dist::Communicator* world) {
  if (world)
    world->all_reduce({values.data(),
                       {static_cast<std::int64_t>(values.size())},
                       DType::kF64});
}

// The classes that are this process's.
std::vector<std::size_t> my_classes(const SvmTask& task,
                                    const dist::Communicator* world) {
  std::vector<std::size_t> mine;
  const std::size_t step = world ? static_cast<std::size_t>(world->size()) : 1;
  for (std::size_t c = world ? static_cast<std::size_t>(world->rank()) : 0;
       c < task.classes.size(); c += step)
    mine.push_back(c);
  return mine;
}

void check(const SvmTask& task, const SvmProtocol& protocol, int least) {
  MUSIC_CHECK(task.train.width == task.test.width && task.train.width > 0 &&
                  task.train_targets.size() == task.classes.size() &&
                  task.test_targets.size() == task.classes.size() &&
                  std::ranges::is_sorted(protocol.costs) &&
                  !protocol.costs.empty(),
              "[svm] features of {} and {}, targets of {} and {} classes of {}",
              task.train.width, task.test.width, task.train_targets.size(),
              task.test_targets.size(), task.classes.size());
  bool any = false;  // is tested
  for (std::size_t c = 0; c < task.classes.size(); ++c) {
    const auto &train = task.train_targets[c], &test = task.test_targets[c];
    MUSIC_CHECK(std::ssize(train) == task.train.count &&
                    std::ssize(test) == task.test.count,
                "[svm] {} targets of {} rows, {} of {}", train.size(),
                task.train.count, test.size(), task.test.count);
    const auto positive = std::ranges::count(train, 1);
    const std::int64_t negative = std::ssize(train) - positive;
    if (positive < least || negative < least)
      throw error(ExitCode::kData,
                  "[svm] class {} has {} training images and {} others, expected "
                  "{} of each at least", task.classes[c], positive, negative,
                  least);
    any = any || std::ranges::count(test, 1) > 0;
  }
  if (!any)
    throw error(ExitCode::kData,
                "[svm] no class has a test image, expected one at least");
  for (const FeatureMatrix* m : {&task.train, &task.test})
    if (!std::all_of(m->values, m->values + m->count * m->width,
                     [](float v) { return std::isfinite(v); }))
      throw error(ExitCode::kData,
                  "[svm] a {} feature is not finite, expected numbers",
                  m == &task.train ? "training" : "test");
}

// Difficult images are negatives here.
std::int8_t training_target(std::int8_t target) { return target > 0 ? 1 : -1; }

SvmSolver solver_on(const SvmTask& task, std::size_t c,
                    std::vector<std::int64_t> rows) {
  std::vector<std::int8_t> targets;
  for (const std::int64_t r : rows)
    targets.push_back(training_target(
        task.train_targets[c][static_cast<std::size_t>(r)]));
  return SvmSolver(task.train, std::move(rows), std::move(targets));
}

SvmSpec with_cost(const SvmProtocol& protocol, double cost) {
  SvmSpec spec = protocol.solver;
  spec.cost = cost;
  return spec;
}

}  // namespace

void normalise_rows(float* values, std::int64_t count, std::int64_t width) {
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < count; ++i) {
    float* row = values + i * width;
    double square = 0;
    for (std::int64_t j = 0; j < width; ++j) square += double{row[j]} * row[j];
    const auto length = static_cast<float>(std::sqrt(square) + 1e-5);
    for (std::int64_t j = 0; j < width; ++j) row[j] /= length;
  }
}

SvmTargets one_against_rest(std::span<const int> labels, int classes) {
  SvmTargets targets(static_cast<std::size_t>(classes),
                     std::vector<std::int8_t>(labels.size(), -1));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    MUSIC_CHECK(labels[i] >= 0 && labels[i] < classes,
                "[svm] label {}, expected 0 to {}", labels[i], classes - 1);
    targets[static_cast<std::size_t>(labels[i])][i] = 1;
  }
  return targets;
}

// Each class is dealt out over the folds as it would be were the targets sorted
// by class, in order of first appearance; within a class, earlier images go to
// earlier folds.
std::vector<int> stratified_folds(std::span<const std::int8_t> targets,
                                  int folds) {
  std::vector<int> fold(targets.size());
  std::size_t before = 0;  // targets of the class that was first
  std::int8_t value = targets.empty() ? std::int8_t{0} : targets[0];
  for (int pass = 0; pass < 2; ++pass, value = static_cast<std::int8_t>(-value)) {
    const auto n = static_cast<std::size_t>(std::ranges::count(targets, value));
    std::vector<std::size_t> room(static_cast<std::size_t>(folds));
    for (std::size_t i = before; i < before + n; ++i)
      ++room[i % room.size()];
    std::size_t at = 0;
    for (std::size_t i = 0; i < targets.size(); ++i) {
      if (targets[i] != value) continue;
      while (room[at] == 0) ++at;
      --room[at];
      fold[i] = static_cast<int>(at);
    }
    before += n;
  }
  return fold;
}

std::vector<SvmClassScore> svm_scores(const SvmTask& task,
                                      const SvmProtocol& protocol) {
  const bool choose = protocol.costs.size() > 1;
  MUSIC_CHECK(protocol.folds >= 2, "[svm] {} folds", protocol.folds);
  check(task, protocol, choose ? protocol.folds : 1);
  const std::vector<std::size_t> mine = my_classes(task, protocol.communicator);
  const std::size_t classes = task.classes.size();
  const std::size_t costs = protocol.costs.size();
  const auto folds = static_cast<std::size_t>(choose ? protocol.folds : 0);
  const auto images = static_cast<std::size_t>(task.test.count);

  // Average precision of [class][fold][cost], then [class][image] decisions.
  std::vector<double> precision(classes * folds * costs);
  std::vector<double> unconverged(classes), decisions(classes * images);
  const auto validate = [&](std::size_t c, std::size_t f) {
    std::vector<std::int8_t> targets;
    for (const std::int8_t t : task.train_targets[c])
      targets.push_back(training_target(t));
    const std::vector<int> fold = stratified_folds(targets, protocol.folds);
    std::vector<std::int64_t> rows, held_out;
    std::vector<std::int8_t> truth;
    for (std::size_t i = 0; i < fold.size(); ++i) {
      const bool held = fold[i] == static_cast<int>(f);
      (held ? held_out : rows).push_back(static_cast<std::int64_t>(i));
      if (held) truth.push_back(targets[i]);
    }
    SvmSolver solver = solver_on(task, c, std::move(rows));
    std::vector<double> scores(held_out.size());
    for (std::size_t k = 0; k < costs; ++k) {
      const SvmModel& model = solver.solve(with_cost(protocol, protocol.costs[k]));
      for (std::size_t i = 0; i < scores.size(); ++i)
        scores[i] = model.decision(task.train.row(held_out[i]));
      precision[(c * folds + f) * costs + k] = average_precision(scores, truth);
#pragma omp atomic
      unconverged[c] += !model.converged;
    }
  };
  run_jobs(std::ssize(mine) * static_cast<std::int64_t>(folds), protocol,
           [&](std::int64_t i) {
             const auto at = static_cast<std::size_t>(i);
             validate(mine[at / folds], at % folds);
           });

  std::vector<SvmClassScore> scores(classes);
  std::vector<double> chosen(classes), validated(classes);
  for (const std::size_t c : mine) {
    std::size_t best = 0;
    for (std::size_t k = 0; choose && k < costs; ++k) {
      double mean = 0;
      for (std::size_t f = 0; f < folds; ++f)
        mean += precision[(c * folds + f) * costs + k] /
                static_cast<double>(folds);
      if (k == 0 || mean > validated[c]) {
        best = k;
        validated[c] = mean;
      }
    }
    chosen[c] = protocol.costs[best];
  }
  run_jobs(std::ssize(mine), protocol, [&](std::int64_t i) {
    const std::size_t c = mine[static_cast<std::size_t>(i)];
    std::vector<std::int64_t> rows(static_cast<std::size_t>(task.train.count));
    std::iota(rows.begin(), rows.end(), 0);
    SvmSolver solver = solver_on(task, c, std::move(rows));
    const SvmModel& model = solver.solve(with_cost(protocol, chosen[c]));
#pragma omp atomic
    unconverged[c] += !model.converged;
    for (std::size_t t = 0; t < images; ++t)
      decisions[c * images + t] =
          model.decision(task.test.row(static_cast<std::int64_t>(t)));
  });
  for (auto* values : {&chosen, &validated, &unconverged, &decisions})
    share(*values, protocol.communicator);
  for (std::size_t c = 0; c < classes; ++c) {
    SvmClassScore& s = scores[c];
    const auto begin = decisions.begin() + static_cast<std::ptrdiff_t>(c * images);
    s.decisions.assign(begin, begin + static_cast<std::ptrdiff_t>(images));
    s.ap = envelope_precision(s.decisions, task.test_targets[c]);
    s.cost = chosen[c];
    s.cross_validated = validated[c];
    s.unconverged = static_cast<std::int64_t>(unconverged[c]);
  }
  return scores;
}

double mean_ap(const std::vector<SvmClassScore>& scores) {
  double sum = 0;
  int tested = 0;
  for (const SvmClassScore& s : scores)
    if (!std::isnan(s.ap)) sum += s.ap, ++tested;
  return sum / tested;
}

double svm_accuracy(const std::vector<SvmClassScore>& scores,
                    std::span<const int> labels) {
  std::int64_t right = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    std::size_t best = 0;
    for (std::size_t c = 1; c < scores.size(); ++c)
      if (scores[c].decisions[i] > scores[best].decisions[i]) best = c;
    right += static_cast<int>(best) == labels[i];
  }
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

namespace {

// n of the rows whose target is `value`, drawn.
std::vector<std::int64_t> draw(std::span<const std::int8_t> targets,
                               std::int8_t value, std::int64_t n, Rng& rng,
                               const std::string& name) {
  std::vector<std::int64_t> rows;
  for (std::size_t i = 0; i < targets.size(); ++i)
    if (targets[i] == value) rows.push_back(static_cast<std::int64_t>(i));
  if (std::ssize(rows) < n)
    throw error(ExitCode::kData,
                "[svm] class {} has {} {} training images, expected {} at least",
                name, rows.size(), value > 0 ? "positive" : "negative", n);
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i)
    std::swap(rows[i], rows[i + rng.below(static_cast<std::uint32_t>(
                                    rows.size() - i))]);
  rows.resize(static_cast<std::size_t>(n));
  return rows;
}

}  // namespace

std::vector<LowShotScore> low_shot_scores(const SvmTask& task,
                                          const SvmProtocol& protocol,
                                          const LowShotSpec& spec) {
  check(task, protocol, 1);
  const std::vector<std::size_t> mine = my_classes(task, protocol.communicator);
  const std::size_t ks = spec.positives.size(), costs = protocol.costs.size();
  const auto samples = static_cast<std::size_t>(spec.samples);
  const std::size_t classes = task.classes.size();
  // [class][k][sample][cost]
  std::vector<double> precision(classes * ks * samples * costs);
  std::vector<double> unconverged(ks);
  const auto job = [&](std::size_t c, std::size_t k, std::size_t s) {
    const auto& targets = task.train_targets[c];
    const std::int64_t n = spec.positives[k];
    Rng rng(protocol.solver.seed, RngPurpose::kSvm,
            1 + static_cast<std::uint32_t>(c), static_cast<std::uint32_t>(s),
            static_cast<std::uint32_t>(n));
    std::vector<std::int64_t> rows = draw(targets, 1, n, rng, task.classes[c]);
    for (const std::int64_t r :
         draw(targets, -1, n * spec.negatives, rng, task.classes[c]))
      rows.push_back(r);
    SvmSolver solver = solver_on(task, c, std::move(rows));
    std::vector<double> scores(static_cast<std::size_t>(task.test.count));
    for (std::size_t i = 0; i < costs; ++i) {
      const SvmModel& model = solver.solve(with_cost(protocol, protocol.costs[i]));
      for (std::size_t t = 0; t < scores.size(); ++t)
        scores[t] = model.decision(task.test.row(static_cast<std::int64_t>(t)));
      precision[((c * ks + k) * samples + s) * costs + i] =
          envelope_precision(scores, task.test_targets[c]);
#pragma omp atomic
      unconverged[k] += !model.converged;
    }
  };
  run_jobs(std::ssize(mine) * static_cast<std::int64_t>(ks * samples), protocol,
           [&](std::int64_t i) {
             const auto at = static_cast<std::size_t>(i);
             job(mine[at / (ks * samples)], at / samples % ks, at % samples);
           });
  share(precision, protocol.communicator);
  share(unconverged, protocol.communicator);

  // A class without test images has no precision.
  std::vector<std::size_t> tested;
  for (std::size_t c = 0; c < classes; ++c)
    if (std::ranges::count(task.test_targets[c], 1) > 0) tested.push_back(c);
  std::vector<LowShotScore> result;
  for (std::size_t k = 0; k < ks; ++k) {
    LowShotScore best;
    best.positives = spec.positives[k];
    double highest = -1;
    for (std::size_t i = 0; i < costs; ++i) {
      std::vector<double> map(samples);
      for (const std::size_t c : tested)
        for (std::size_t s = 0; s < samples; ++s)
          map[s] += precision[((c * ks + k) * samples + s) * costs + i] /
                    static_cast<double>(tested.size());
      const double mean = std::accumulate(map.begin(), map.end(), 0.0);
      if (mean > highest) {
        highest = mean;
        best.cost = protocol.costs[i];
        best.map = map;
      }
    }
    best.unconverged = static_cast<std::int64_t>(unconverged[k]);
    result.push_back(std::move(best));
  }
  return result;
}

}  // namespace music
