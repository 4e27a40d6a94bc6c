// Methods on GPUs: the steps of one process, and a captured step is a launched
// one. Those with a target network, a queue or phases, and one without.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "tests/dist/device_world.h"
#include "tests/dist/few_samples.h"
#include "tests/support/margin.h"

namespace {

using namespace music;
using namespace music::test;

std::vector<MethodProblem> some_problems() {
  std::vector<MethodProblem> some;
  for (const MethodProblem& p : method_problems())
    for (const char* name :
         {"vicreg", "byol", "moco_v2/groups", "swav/queue"})
      if (p.c.name == name) some.push_back(p);
  return some;
}

ParameterStorage on_device(DType dtype) {
  return {.training = true, .device = Device::kCuda, .compute = dtype};
}

TEST_SUITE("cuda_methods") {
  TEST_CASE("steps are those of one process on a CPU") {
    if (!select_device()) return;
    const auto all = device_communicators();
    for (const MethodProblem& problem : some_problems()) {
      const std::string& name = problem.c.name;
      CAPTURE(name);
      MethodRun one(problem, nullptr);
      MethodRun many(problem, all.back().second.get(),
                     on_device(DType::kF32));
      for (int k = 0; k < 5; ++k)
        CHECK(near(many.run(k), one.run(k), 2e-5, name));
      Parameters &a = many.model.parameters(), &b = one.model.parameters();
      const auto check = [&](const char* what, const WorstTensor& w) {
        CAPTURE(w.name);
        CHECK(within(w.error, 2e-5, name + " " + what));
      };
      check("weights", worst_tensor(a, b, &Parameters::value));
      if (a.has_target())
        check("target", worst_tensor(a, b, &Parameters::target));
      check("buffers", worst_tensor(a, b, &Parameters::buffer, true));
    }
  }

  // Captured too: a step of no rows is one of no launches, copies or memsets.
  TEST_CASE("so are steps where processes have no sample of a batch") {
    if (!select_device()) return;
    const auto all = device_communicators();
    for (const MethodProblem& problem : few_sample_problems()) {
      const std::string& name = problem.c.name;
      // Each kind of objective, of state and of way through the network once;
      // VICReg's of three samples is rounding.
      const bool parts = problem.micro > 0;
      const auto among = [&](std::initializer_list<const char*> names) {
        return std::ranges::any_of(names, [&](auto n) { return name == n; });
      };
      if (parts ? !among({"music", "byol"})
                : !among({"music", "vicreg", "barlow_twins", "simclr", "moco_v2",
                          "swav/queue", "supervised"}))
        continue;
      if (name == "vicreg" && problem.batch < 8) continue;
      CAPTURE(name);
      CAPTURE(problem.batch);
      CAPTURE(parts);
      MethodRun one(problem, nullptr);
      MethodRun many(problem, all.back().second.get(),
                     on_device(DType::kF32));
      for (const int k : {3, 0}) CHECK(near(many.run(k), one.run(k), 5e-5, name));
      Parameters &a = many.model.parameters(), &b = one.model.parameters();
      const auto check = [&](const char* what, const WorstTensor& w) {
        CAPTURE(w.name);
        CHECK(within(w.error, 5e-5, name + " few " + what));
      };
      check("weights", worst_tensor(a, b, &Parameters::value));
      if (a.has_target())
        check("target", worst_tensor(a, b, &Parameters::target));
      check("buffers", worst_tensor(a, b, &Parameters::buffer, true));
      // The second and third time of a size is a captured graph.
      if (!among({"music", "moco_v2"})) continue;
      MethodRun half(problem, all.back().second.get(), on_device(DType::kF16));
      for (int k = 0; k < 3; ++k) {
        half.run(3);
        half.run(0);
      }
      const auto state = whole_state(half.model);
      auto first = state;
      world().broadcast({first.data(),
                         Shape{static_cast<std::int64_t>(first.size())},
                         DType::kF32});
      CHECK(std::memcmp(state.data(), first.data(),
                        state.size() * sizeof(float)) == 0);
    }
  }

  // Each graph is launched once as it is captured and again.
  TEST_CASE("captured and launched one by one: the same bits, on all ranks") {
    if (!select_device()) return;
    const auto all = device_communicators();
    for (const MethodProblem& problem : some_problems()) {
      CAPTURE(problem.c.name);
      const auto state = [&] {
        MethodRun run(problem, all.back().second.get(), on_device(DType::kF16));
        for (int k = 0; k < 7; ++k) run.run(k);
        return whole_state(run.model);
      };
      const auto captured = state();
      setenv("MUSIC_CUDA_GRAPH", "0", 1);
      const auto launched = state();
      unsetenv("MUSIC_CUDA_GRAPH");
      REQUIRE(captured.size() == launched.size());
      const std::size_t bytes = captured.size() * sizeof(float);
      CHECK(std::memcmp(captured.data(), launched.data(), bytes) == 0);
      auto first = captured;
      world().broadcast({first.data(),
                         Shape{static_cast<std::int64_t>(first.size())},
                         DType::kF32});
      CHECK(std::memcmp(captured.data(), first.data(), bytes) == 0);
    }
  }
}

}  // namespace
