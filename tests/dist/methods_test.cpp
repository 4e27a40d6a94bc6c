// One process and any number take the same steps, whatever the method: loss,
// gradients, weights, target network, running statistics, queues. Run with 1 to 4
// processes, all of which also compute the whole batch alone.
#include <doctest/doctest.h>

#include <cstring>

#include "tests/dist/few_samples.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using namespace music::test;

// Sums in another order, and five steps that carry it on.
constexpr double kFirst = 5e-5, kAfter = 5e-5;

void check(const std::string& what, const WorstTensor& w, double bound) {
  CAPTURE(w.name);
  CHECK(within(w.error, bound, what));
}

TEST_SUITE("methods") {
  TEST_CASE("every method's steps are those of one process") {
    for (const MethodProblem& problem : method_problems()) {
      const std::string& name = problem.c.name;
      CAPTURE(name);
      MethodRun one(problem, nullptr), many(problem, &world());
      Parameters &a = many.model.parameters(), &b = one.model.parameters();
      CHECK(near(many.forward_backward().total, one.forward_backward().total,
                 1e-5, name));
      check(name + " gradient", worst_tensor(a, b, &Parameters::gradient),
            kFirst);
      for (int k = 0; k < 5; ++k)
        CHECK(near(many.run(k), one.run(k), kAfter, name));
      check(name + " weights", worst_tensor(a, b, &Parameters::value), kAfter);
      if (a.has_target())
        check(name + " target", worst_tensor(a, b, &Parameters::target),
              kAfter);
      check(name + " buffers", worst_tensor(a, b, &Parameters::buffer, true),
            kAfter);
    }
  }

  TEST_CASE("so are they where processes have no sample of a batch") {
    for (const MethodProblem& problem : few_sample_problems()) {
      const std::string name = fmt::format(
          "{} of {}, {}{}", problem.c.name, problem.batch, problem.last,
          problem.micro > 0 ? " in parts" : "");
      CAPTURE(name);
      MethodRun one(problem, nullptr), many(problem, &world());
      Parameters &a = many.model.parameters(), &b = one.model.parameters();
      for (const int k : {3, 0})
        CHECK(near(many.run(k), one.run(k), kAfter, name));
      check(name + " weights", worst_tensor(a, b, &Parameters::value), kAfter);
      if (a.has_target())
        check(name + " target", worst_tensor(a, b, &Parameters::target),
              kAfter);
      check(name + " buffers", worst_tensor(a, b, &Parameters::buffer, true),
            kAfter);
      const auto x = whole_state(many.model);
      auto root = x;
      world().broadcast({root.data(),
                         Shape{static_cast<std::int64_t>(root.size())},
                         DType::kF32});
      CHECK(std::memcmp(x.data(), root.data(), x.size() * sizeof(float)) == 0);
    }
  }

  TEST_CASE("every method leaves the same bits on every rank, and again") {
    for (const MethodProblem& problem : method_problems()) {
      CAPTURE(problem.c.name);
      MethodRun first(problem, &world()), second(problem, &world());
      for (int k = 0; k < 5; ++k) first.run(k), second.run(k);
      const auto x = whole_state(first.model), y = whole_state(second.model);
      CHECK(std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0);
      auto root = x;
      world().broadcast({root.data(),
                         Shape{static_cast<std::int64_t>(root.size())},
                         DType::kF32});
      CHECK(std::memcmp(x.data(), root.data(), x.size() * sizeof(float)) == 0);
    }
  }

  TEST_CASE("moco_v2: groups that processes do not divide") {
    if (world().size() == 1) return;
    MethodProblem problem{method_cases()[6], 20, 20};
    REQUIRE(problem.c.name == "moco_v2/groups");
    auto& moco = problem.c.spec.method.of<MocoV2>();
    moco.group = 20, moco.queue = 40;
    problem.c.spec.samples = 20;
    CHECK_THROWS_WITH_AS(
        MethodRun(problem, &world()),
        fmt::format("[moco_v2] {} processes and 1 groups of moco_v2.group = 20 "
                    "samples at once: expected a divisor of both, or "
                    "moco_v2.group = 0", world().size()).c_str(),
        Error);
  }
}

}  // namespace
