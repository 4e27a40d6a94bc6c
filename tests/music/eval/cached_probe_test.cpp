#include "music/eval/cached_probe.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/support/logistic_rows.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using namespace music::test;

// Rows whose labels are told by a little of each of many features, and hidden
// by noise: too small a decay learns the noise.
Features part_of(const Features& all, std::int64_t begin, std::int64_t end) {
  Features f;
  f.count = end - begin, f.width = all.width;
  f.values.assign(all.values.begin() + begin * all.width,
                  all.values.begin() + end * all.width);
  f.labels.assign(all.labels.begin() + begin, all.labels.begin() + end);
  return f;
}

Features noisy() { return rows_of({"noisy", 1200, 40, 6, 0.15}); }

std::string failure(const Features& train, int classes) {
  try {
    cached_probe(train, train, classes);
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kData);
    return e.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

TEST_SUITE_BEGIN("cached_probe");

TEST_CASE("the decay is chosen by images held out, and all are learnt then") {
  const Features all = noisy(), train = part_of(all, 0, 400),
                 test = part_of(all, 400, 1200);
  const CachedProbe p = cached_probe(train, test, 6);
  REQUIRE(p.tried.size() == 12);
  CHECK(p.held_out >= 40);
  CHECK(p.held_out <= 46);  // rounded up for each class
  double best = 0;
  for (std::size_t i = 0; i < p.tried.size(); ++i) {
    best = std::max(best, p.tried[i].held_out.top1);
    CHECK(p.tried[i].steps > 0);
    if (i > 0)
      CHECK(near(p.tried[i - 1].decay / p.tried[i].decay, std::sqrt(10.0), 1e-9));
  }
  const auto chosen = std::ranges::find(p.tried, best, [](const auto& t) {
    return t.held_out.top1;  // the first, and so the largest
  });
  CHECK(p.decay == chosen->decay);
  CHECK(p.inverse_decay == 1 / (p.decay * 400));
  CHECK(p.seconds > 0);
  // The head is the optimum of all training rows, whatever it started from.
  const LogisticFit fit =
      LogisticProblem(train, 6).solve({.decay = p.decay, .tolerance = 1e-5});
  CHECK(near(p.fit.objective, fit.objective, 1e-6));
  CHECK(p.fit.converged);
  CHECK(p.test.top1 > 100.0 / 6);
  CHECK(p.notes.empty());
  // Neither end of the grid was best: there is something to choose.
  CHECK(p.decay < p.tried.front().decay);
  CHECK(p.decay > p.tried.back().decay);
}

TEST_CASE("the same seed, the same probe; test images choose nothing") {
  const Features all = noisy(), train = part_of(all, 0, 300),
                 test = part_of(all, 300, 600);
  const CachedProbe a = cached_probe(train, test, 6),
                    b = cached_probe(train, test, 6),
                    c = cached_probe(train, train, 6);
  CHECK(a.fit.head.weight == b.fit.head.weight);
  CHECK(a.fit.head.weight == c.fit.head.weight);
  CHECK(a.test.top1 == b.test.top1);
  CachedProbeSpec other;
  other.seed = 1;
  const CachedProbe d = cached_probe(train, test, 6, other);
  CHECK(a.tried[5].held_out.loss != d.tried[5].held_out.loss);
}

TEST_CASE("decays of one's own, in any order; the end of a grid is said") {
  const Features all = noisy(), train = part_of(all, 0, 300);
  CachedProbeSpec spec;
  spec.decays = {1e-6, 1e-5};
  std::vector<std::int64_t> done;
  spec.progress = [&](std::int64_t d, std::int64_t n) {
    CHECK(n == 3);
    done.push_back(d);
  };
  const CachedProbe p = cached_probe(train, train, 6, spec);
  CHECK(p.tried[0].decay == 1e-5);
  CHECK(done == std::vector<std::int64_t>{0, 1, 2, 3});
  REQUIRE(p.notes.size() == 1);
  CHECK(has(p.notes[0], "a larger one may score higher"));
  spec.progress = nullptr;
  spec.decays = {1e-3};
  CHECK(cached_probe(train, train, 6, spec).notes.empty());
  spec.most_steps = 1;
  const CachedProbe stopped = cached_probe(train, train, 6, spec);
  CHECK_FALSE(stopped.fit.converged);
  REQUIRE_FALSE(stopped.notes.empty());
  CHECK(has(stopped.notes[0], "stopped after 1 steps"));
}

TEST_CASE("a decay whose optimum is not reached is not chosen, nor smaller ones") {
  const Features all = noisy(), train = part_of(all, 0, 300);
  CachedProbeSpec spec;
  spec.decays = {1e-1, 1e-2, 1e-9, 1e-10};
  spec.most_steps = 20;
  const CachedProbe p = cached_probe(train, train, 6, spec);
  REQUIRE(p.tried.size() == 3);
  CHECK(p.tried[1].steps < 20);
  CHECK(p.tried[2].steps == 20);
  CHECK(p.decay >= 1e-2);
  CHECK(p.fit.converged);
  REQUIRE_FALSE(p.notes.empty());
  CHECK(has(p.notes[0], "weight decay 1e-09: stopped after 20 steps"));
}

TEST_CASE("scores: ties gain nothing, loss and top-5 as by hand") {
  Features f;
  f.count = 3, f.width = 1;
  f.values = {1, 1, 0};
  f.labels = {0, 5, 2};
  LinearHead head{6, 1, {6, 5, 4, 3, 2, 1}, {0, 0, 0, 0, 0, 0}};
  const HeadScore s = score_head(head, f);
  CHECK(near(s.top1, 100.0 / 3, 1e-12));  // row 3: six equal logits, no hit
  CHECK(near(s.top5, 100.0 / 3, 1e-12));  // row 2: its class is the sixth
  double sum = 0;
  for (int k = 1; k <= 6; ++k) sum += std::exp(k);
  CHECK(near(s.loss, ((std::log(sum) - 6) + (std::log(sum) - 1) + std::log(6.0)) / 3,
             1e-6));
  f.labels[0] = 6;
  CHECK_THROWS_AS(score_head(head, f), Error);
}

TEST_CASE("few images: each class keeps one") {
  const Features f = rows_of({"few", 10, 8, 5, 2.0});
  const CachedProbe p = cached_probe(f, f, 5);
  CHECK(p.held_out >= 1);
  CHECK(p.held_out <= 5);
  for (const auto& t : p.tried) CHECK(std::isfinite(t.held_out.loss));
  CHECK(has(failure(part_of(f, 0, 5), 5), "expected at least two of one"));
  CHECK(has(failure(f, 6), "class 5 of 6 has no training image"));
  CHECK(has(failure(f, 4), "has label 4: expected 0 to 3"));
}

TEST_SUITE_END();

}  // namespace
