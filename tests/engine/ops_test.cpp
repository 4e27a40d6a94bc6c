#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "tests/support/cases.h"

namespace {

using namespace music;
using namespace music::test;

TEST_SUITE("ops") {
  TEST_CASE("every op, forward and backward, follows the reference") {
    std::map<std::string, double> worst;
    for (const OpCase& c : op_cases()) {
      double& w = worst[c.name.substr(0, c.name.find(' '))];
      w = std::max(w, check_case(c));
    }
    std::string line;
    for (const auto& [op, error] : worst)
      line += fmt::format(" {} {:.1e}", op, error);
    MESSAGE("largest NMSE by op:" << line);
  }

  TEST_CASE("a residual that is the normalised value itself") {
    OpCase c = batch_norm_case({.dims = {4, 3, 3, 16}, .relu = true}, false);
    c.name += ", of itself";
    c.record = [](Graph& g, Values v) {
      return batch_norm(g, v[0], v[1], v[2], v[3], v[4], v[0], {.relu = true});
    };
    c.reference = [](CaseResult& r, const Array& dy) {
      auto& t = r.tensors;
      const BatchNormSpec spec{.relu = true};
      const auto f =
          reference::batch_norm(t[0], t[1], t[2], &t[0], spec, &t[3], &t[4]);
      r.y = f.y;
      const auto g = reference::batch_norm_backward(t[0], t[1], f, dy, spec);
      r.gradients = {reference::add(g.dx, g.dresidual), g.dgamma, g.dbeta,
                     {}, {}};
    };
    check_case(c);
  }

  TEST_CASE("a label outside the classes is an error that names it") {
    for (const std::int32_t bad : {-1, 4}) {
      Parameters p;
      p.allocate(true);
      Graph g(p);
      const Value logits = g.input("logits", {3, 4}, DType::kF32);
      const Value labels = g.input("labels", {3}, DType::kI32);
      cross_entropy(g, logits, labels);
      BoundExecutable run(std::move(g), p);
      const std::vector<float> z(12);
      const std::vector<std::int32_t> y = {0, 3, bad};
      run.set_input(logits, z.data());
      run.set_input(labels, y.data());
      CHECK_THROWS_WITH_AS(
          run->run(),
          fmt::format("[cross_entropy] label {} in row 2, expected 0 to 3", bad)
              .c_str(),
          Error);
    }
  }

  TEST_CASE("a NaN comes through relu, max_pool and batch_norm") {
    for (const int op : {0, 1, 2}) {
      CAPTURE(op);
      Parameters p;
      const int c = p.add("c", {3}, Init::constant(1));
      p.allocate(true);
      p.initialise(0);
      Graph g(p);
      const Value x = g.input("x", {1, 4, 4, 3}, DType::kF32);
      const Value w = g.parameter(c);
      const Value y = op == 0 ? relu(g, x)
                      : op == 1
                          ? max_pool(g, x, {3, 2, 1})
                          : batch_norm(g, x, w, w, {}, {}, {}, {.relu = true});
      g.keep(y);
      BoundExecutable run(std::move(g), p);
      std::vector<float> data(48, 1.0f);
      data[7] = std::nanf("");
      run.set_input(x, data.data());
      run->run();
      const auto result = floats(run->tensor(y));
      CHECK(std::any_of(result.begin(), result.end(),
                        [](float v) { return std::isnan(v); }));
    }
  }

  TEST_CASE("a build without CUDA says so, in one line") {
    Parameters p;
    p.add("x", {3}, {});
    Graph g(p);
    relu(g, g.parameter(0));
    const auto make = [&] {
      Executable(std::move(g), p, {.device = Device::kCuda});
    };
    CHECK_THROWS_WITH_AS(
        make(),
        "[make_relu_forward] this build has no CUDA: use the cpu device",
        Error);
  }
}

}  // namespace
