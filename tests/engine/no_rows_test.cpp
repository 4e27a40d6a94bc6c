// A process that has no row of a batch: what sums over samples is zero, and no
// kernel meets an empty tensor but of nodes that say so.
#include <doctest/doctest.h>

#include <vector>

#include "engine/graph/autograd.h"
#include "engine/graph/executable.h"
#include "engine/ops/batch_norm.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/global_avg_pool.h"
#include "engine/ops/linear.h"
#include "engine/ops/reduce.h"
#include "engine/ops/rows.h"
#include "tests/support/graph_run.h"

namespace {

using namespace music;
using namespace music::test;

TEST_SUITE("no_rows") {
  TEST_CASE("a network of no rows has no gradient, and running statistics move") {
    Parameters p;
    const int w = p.add("conv", {8, 3, 3, 3}, Init::constant(1));
    const int gamma = p.add("gamma", {8}, Init::constant(1));
    const int beta = p.add("beta", {8}, Init::constant(0));
    const int classifier = p.add("classifier", {5, 8}, Init::constant(1));
    const int bias = p.add("bias", {5}, Init::constant(1));
    const int mean = p.add_buffer("mean", {8}, 3), var = p.add_buffer("var", {8}, 2);
    p.allocate(true);
    p.initialise(0);
    for (std::int64_t i = 0; i < p.flat_elements(); ++i)
      p.flat_gradients()[i] = 7;
    Graph g(p);
    // What the others have: nine values of 1 a channel.
    const Value theirs = g.input("theirs", {1, 17}, DType::kF64);
    const StatisticsHook of_all = [theirs](Graph&, Value) { return theirs; };
    const Value x = g.input("x", {0, 6, 6, 3}, DType::kF32);
    Value y = conv2d(g, x, g.parameter(w), {.stride = 1, .pad = 1});
    y = batch_norm(g, y, g.parameter(gamma), g.parameter(beta), g.buffer(mean),
                   g.buffer(var), Value{}, {.relu = true}, of_all);
    const Value z = linear(g, global_avg_pool(g, y), g.parameter(classifier),
                           g.parameter(bias));
    const Value loss = reduce(g, z, ReduceKind::kSum);
    g.keep(loss);
    const Value joined = concat_rows(g, {z, g.constant({2, 5}, 4)});
    g.keep(joined);
    backward(g, loss, g.constant({1}, 1));
    BoundExecutable run(std::move(g), p);
    std::vector<double> sums(17, 9);
    run->set_input(theirs, sums.data());
    run->run();
    CHECK(run->tensor(loss).f32()[0] == 0);
    for (const float v : run->tensor(joined).span<float>()) CHECK(v == 4);
    for (const int i : {w, gamma, beta, classifier, bias})
      for (const float v : p.gradient(i).span<float>()) CHECK(v == 0);
    for (const float v : p.buffer(mean).span<float>())
      CHECK(v == doctest::Approx(0.9 * 3 + 0.1));
    for (const float v : p.buffer(var).span<float>())
      CHECK(v == doctest::Approx(0.9 * 2));
  }

  TEST_CASE("slices may be empty") {
    Parameters p;
    p.allocate(false);
    Graph g(p);
    const Value x = g.input("x", {3, 2}, DType::kF32);
    const Value none = slice_rows(g, x, 3, 0);
    CHECK(g.shape(none) == Shape{0, 2});
    CHECK(interleave_rows(g, none, 4) == none);
    const Value all = concat_rows(g, {none, x});
    g.keep(all);
    BoundExecutable run(std::move(g), p);
    const float data[] = {1, 2, 3, 4, 5, 6};
    run->set_input(x, data);
    run->run();
    for (std::size_t i = 0; i < 6; ++i) CHECK(run->tensor(all).f32()[i] == data[i]);
  }
}

}  // namespace
