#include "engine/optim/optimizer.h"

#include <doctest/doctest.h>
#include <omp.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "engine/core/rng.h"
#include "engine/optim/lars.h"
#include "engine/optim/schedule.h"
#include "tests/support/margin.h"
#include "tests/support/optim.h"
#include "tests/support/optim_groups.h"

namespace {

using namespace music;
using namespace music::test;

// The smallest matrix and vector.
struct Pair : Parameters {
  Pair(float value0, float gradient0) {
    add("w", {2, 2}, Init::constant(value0));
    add("b", {2}, Init::constant(value0));
    allocate(true);
    initialise(0);
    for (int i = 0; i < 2; ++i)
      for (float& g : gradient(i).span<float>()) g = gradient0;
  }
};

// Every bit of weights and momentum after three steps of a model whose tensors
// need several blocks.
std::vector<float> trained(OptimizerKind kind, int threads) {
  Parameters p;
  p.add("a", {300, 700}, Init::uniform(1));
  p.add("b", {70001}, Init::uniform(1));
  p.add("c", {3, 5}, Init::uniform(1));
  p.allocate(true);
  p.initialise(1);
  Rng rng(1, RngPurpose::kTest);
  OptimizerSpec spec;
  spec.kind = kind, spec.weight_decay = 0.1;
  const auto optimizer = make_optimizer(p, spec);
  const int before = omp_get_max_threads();
  omp_set_num_threads(threads);
  for (int step = 0; step < 3; ++step) {
    for (std::int64_t i = 0; i < p.flat_elements(); ++i)
      p.flat_gradients()[i] = rng.uniform(-1, 1);
    optimizer->step(0.5);
  }
  omp_set_num_threads(before);
  std::vector<float> bits(p.flat_values(), p.flat_values() + p.flat_elements());
  bits.insert(bits.end(), p.flat_momentum(),
              p.flat_momentum() + p.flat_elements());
  return bits;
}

TEST_SUITE("optim") {
  TEST_CASE("a frozen parameter stays, decay and all") {
    for (const OptimizerKind kind :
         {OptimizerKind::kLars, OptimizerKind::kSgd}) {
      Pair p(2, 1);
      p.freeze(0);
      OptimizerSpec spec;
      spec.kind = kind, spec.weight_decay = 0.1, spec.decay_1d = true;
      CHECK(make_optimizer(p, spec)->step(0.5));
      for (const float v : p.value(0).span<float>()) CHECK(v == 2);
      for (const float v : p.momentum(0).span<float>()) CHECK(v == 0);
      for (const float v : p.value(1).span<float>()) CHECK(v < 2);
    }
  }

  TEST_CASE("ten steps of LARS and SGD follow PyTorch") {
    check_optimizer_goldens({.training = true});
  }

  TEST_CASE("groups of parameters have rates, and a target follows") {
    check_groups_and_target({.training = true});
  }

  TEST_CASE("a group that is not there; a target where none was asked for") {
    Parameters p;
    p.add("w", {2, 2}, {});
    for (const int group : {-1, kMostGroups})
      CHECK_THROWS_WITH_AS(
          p.set_group(0, group),
          fmt::format("[parameters] group {}, expected 0 to 63", group).c_str(),
          Error);
    p.allocate(true);
    CHECK_FALSE(p.has_target());
    CHECK(p.flat_target() == nullptr);
    CHECK_THROWS_WITH_AS(p.target(0),
                         "[parameters] this block was not allocated", Error);
    CHECK_THROWS_WITH_AS(p.with_target(),
                         "[parameters] with_target() after allocate()", Error);
  }

  TEST_CASE("LARS: a norm of zero means a trust of one") {
    OptimizerSpec spec;  // eta 1e-3, decay 1e-6
    Pair no_weight(0, 0.5f);
    make_lars(no_weight, spec)->step(1);
    CHECK(no_weight.value(0).f32()[0] == -0.5f);
    spec.weight_decay = 0;
    Pair no_gradient(2, 0);
    make_lars(no_gradient, spec)->step(1);
    CHECK(no_gradient.value(0).f32()[0] == 2);
    CHECK(no_gradient.momentum(0).f32()[0] == 0);
    Pair nothing(0, 0);
    make_lars(nothing, spec)->step(1);
    CHECK(nothing.value(0).f32()[0] == 0);
  }

  TEST_CASE("LARS: the norm is of gradient plus decay, and the 1-D go plain") {
    OptimizerSpec spec;
    spec.weight_decay = 0.5, spec.eta = 0.1, spec.lr_1d = 0.25;
    Pair p(2, 3);
    make_lars(p, spec)->step(1);
    // d = 3 + 0.5 * 2 = 4, ||w|| / ||d|| = 1/2, update = 0.1 * 1/2 * 4.
    CHECK(near(p.value(0).f32()[0], 2 - 0.2, 1e-6));
    // No decay, no trust, a quarter of the rate.
    CHECK(near(p.value(1).f32()[0], 2 - 0.75, 1e-6));
  }

  TEST_CASE("rate 0 fills the momentum and moves nothing") {
    for (const auto kind : {OptimizerKind::kLars, OptimizerKind::kSgd}) {
      OptimizerSpec spec;
      spec.kind = kind;
      Pair p(2, 3);
      make_optimizer(p, spec)->step(0);
      for (int i = 0; i < 2; ++i) {
        CHECK(p.value(i).f32()[0] == 2);
        CHECK(p.momentum(i).f32()[0] > 0);
      }
    }
  }

  TEST_CASE("one and two threads give the same bits") {
    for (const auto kind : {OptimizerKind::kLars, OptimizerKind::kSgd}) {
      const auto one = trained(kind, 1), two = trained(kind, 2);
      CHECK(std::memcmp(one.data(), two.data(), one.size() * sizeof(float)) ==
            0);
    }
  }

  TEST_CASE("the schedule follows the goldens") {
    const Golden golden("schedule");
    for (const std::string name : {"imagenet", "cifar", "short"}) {
      CAPTURE(name);
      const auto c = golden.get(name + "/config");
      ScheduleSpec spec;
      spec.base_lr = c[0], spec.batch = static_cast<std::int64_t>(c[1]);
      spec.warmup_epochs = c[2];
      const Schedule schedule(spec, static_cast<std::int64_t>(c[3]),
                              static_cast<std::int64_t>(c[4]));
      std::vector<double> rates;
      for (const std::int64_t step : golden.integers(name + "/steps"))
        rates.push_back(schedule.rate(step));
      CHECK(within(max_relative(rates, golden.get(name + "/rates"), 1e-9),
                   1e-12));
    }
  }

  TEST_CASE("the schedule of the paper: batch 2048, 100 epochs of 626 steps") {
    const Schedule s({.base_lr = 0.6, .batch = 2048}, 626, 100);
    CHECK(s.rate(0) == 0);
    CHECK(near(s.rate(3130), 2.4, 1e-12));
    CHECK(near(s.rate(6260), 4.8, 1e-12));
    CHECK(near(s.rate(34430), 2.4024, 1e-12));
    CHECK(near(s.rate(62600), 0.0048, 1e-12));
    CHECK(near(s.rate(70000), 0.0048, 1e-12));
  }

  // Values of torch.optim.lr_scheduler, stepped once an epoch.
  TEST_CASE("a cosine stepped per epoch is torch's CosineAnnealingLR") {
    const auto schedule = [](std::int64_t epochs) {
      return Schedule({.base_lr = 0.02, .batch = 256, .warmup_epochs = 0,
                       .final_ratio = 0, .kind = ScheduleKind::kEpochCosine},
                      7, epochs);
    };
    const double five[] = {0.02, 0.01809016994374947, 0.013090169943749474,
                           0.0069098300562505275, 0.0019098300562505265};
    for (std::int64_t step = 0; step < 35; ++step)
      CHECK(near(schedule(5).rate(step), five[step / 7], 1e-12));
    const Schedule long_one = schedule(100);
    CHECK(near(long_one.rate(7), 0.019995065603657317, 1e-12));
    CHECK(near(long_one.rate(7 * 50 + 6), 0.01, 1e-12));
    CHECK(near(long_one.rate(7 * 99 + 3), 4.934396342684007e-06, 1e-12));
    CHECK(long_one.rate(699) > 0);
    CHECK(long_one.rate(700) == 0);
  }

  TEST_CASE("a rate in steps is torch's MultiStepLR") {
    const Schedule s({.base_lr = 0.01, .batch = 256, .warmup_epochs = 0,
                      .kind = ScheduleKind::kSteps, .milestones = {4, 8, 12}},
                     3, 14);
    for (std::int64_t step = 0; step < 42; ++step) {
      const std::int64_t epoch = step / 3;
      const double rate = epoch < 4 ? 1e-2 : epoch < 8 ? 1e-3
                        : epoch < 12 ? 1e-4 : 1e-5;
      CHECK(near(s.rate(step), rate, 1e-12));
    }
  }

  TEST_CASE("curves in epochs begin behind the warm-up") {
    ScheduleSpec spec{.base_lr = 1, .batch = 256, .warmup_epochs = 2,
                      .final_ratio = 0, .kind = ScheduleKind::kEpochCosine};
    const Schedule cosine(spec, 10, 6);
    CHECK(cosine.rate(19) == 0.95);
    CHECK(cosine.rate(20) == 1);
    CHECK(cosine.rate(29) == 1);
    CHECK(near(cosine.rate(40), 0.5, 1e-12));
    spec.warmup_epochs = 1.5;
    const Schedule within_epoch(spec, 10, 6);
    CHECK(within_epoch.rate(15) == 1);
    CHECK(within_epoch.rate(19) == 1);
    CHECK(within_epoch.rate(20) < 1);
    spec.kind = ScheduleKind::kSteps;
    spec.milestones = {1, 3}, spec.factor = 0.5;
    const Schedule steps(spec, 10, 6);
    CHECK(steps.rate(14) == 14.0 / 15);
    CHECK(steps.rate(15) == 0.5);
    CHECK(steps.rate(30) == 0.25);
  }

  TEST_CASE("an absolute final rate, no warm-up, and no steps at all") {
    const Schedule absolute(
        {.base_lr = 0.6, .batch = 2048, .final_absolute = 0.002}, 626, 100);
    CHECK(near(absolute.rate(62600), 0.002, 1e-12));
    const Schedule cold({.base_lr = 1, .batch = 256, .warmup_epochs = 0}, 10,
                        2);
    CHECK(cold.rate(0) == 1);
    const Schedule warm_only({.base_lr = 1, .batch = 256, .warmup_epochs = 2},
                             10, 2);
    CHECK(warm_only.rate(10) == 0.5);
    CHECK(near(warm_only.rate(20), 0.001, 1e-12));
    CHECK_THROWS_WITH_AS(Schedule({}, 0, 1),
                         "[schedule] 0 steps per epoch, 1 epochs", Error);
  }
}

}  // namespace
