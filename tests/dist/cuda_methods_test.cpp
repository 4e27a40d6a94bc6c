// Methods on GPUs: the steps of one process, and a captured step is a launched
// one. Those with a target network, a queue or phases, and one without.
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>

#include "tests/dist/device_world.h"
#include "tests/dist/method_problem.h"
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
