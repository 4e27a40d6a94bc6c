// What the table of cases does not show of the ops that objectives are made of:
// misuse, numbers that are not finite, ties, threads.
#include <doctest/doctest.h>
#include <omp.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/cases.h"
#include "tests/support/evaluate.h"

namespace {

using namespace music;
using namespace music::test;

std::string message_of(const std::function<void()>& fn) {
  try {
    fn();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

std::vector<float> run_on(const std::vector<float>& x, const Shape& shape,
                          const std::function<Value(Graph&, Value)>& record) {
  Parameters p;
  p.allocate(true);
  Graph g(p);
  const Value v = g.input("x", shape, DType::kF32);
  const Value y = record(g, v);
  g.keep(y);
  BoundExecutable run(std::move(g), p);
  run.set_input(v, x.data());
  run.run();
  return floats(run->tensor(y));
}

TEST_SUITE("objective_ops") {
  TEST_CASE("misuse is one line: what was found, what was expected") {
    Parameters p;
    const int w = p.add("w", {3, 2}, {}), queue = p.add_buffer("q", {8, 2}, 0),
              at = p.add_buffer("at", {1}, 0);
    Graph g(p);
    const auto in = [&](const Shape& s, DType t = DType::kF32) {
      return g.input("x", s, t);
    };
    const auto check = [&](const std::string& expected, auto fn) {
      CHECK(message_of(fn) == expected);
    };
    check("[push_rows] 3 rows for a queue of 8, expected a queue that is a "
          "multiple of the rows",
          [&] { push_rows(g, g.buffer(queue), g.buffer(at), in({3, 2})); });
    check("[push_rows] queue [8,2] and position [1], expected buffers [K,D] and "
          "[1]",
          [&] { push_rows(g, in({8, 2}), g.buffer(at), in({4, 2})); });
    check("[interleave_rows] [6,2] in 4 groups, expected rows that divide",
          [&] { interleave_rows(g, in({6, 2}), 4); });
    check("[slice_rows] rows 4 to 7 of [6,2], expected a part of its rows",
          [&] { slice_rows(g, in({6, 2}), 4, 3); });
    check("[concat_rows] F32 [2,3] behind F32 [2,2], expected equal rows",
          [&] { concat_rows(g, {in({2, 2}), in({2, 3})}); });
    check("[inner] F32 [2,2] and F32 [2,3], expected F32 of one shape",
          [&] { inner(g, in({2, 2}), in({2, 3})); });
    check("[l2_normalize] input F16 [2,2], expected F32 [M,D]",
          [&] { l2_normalize(g, in({2, 2}, DType::kF16)); });
    check("[contrastive] scores F32 [4,8] of samples 3 on of 4: expected F32 "
          "[2n,2N]",
          [&] { contrastive(g, in({4, 8}), {3, 4, 1, 1}); });
    check("[queue_contrastive] positive F32 [3] with negatives F32 [2,8]: "
          "expected F32 [n] and [n,K]",
          [&] { queue_contrastive(g, in({3}), in({2, 8}), 1, 1); });
    check("[sinkhorn] epsilon 0 and 3 iterations, expected above 0 and 1 or more",
          [&] { sinkhorn(g, in({2, 3}), 0, 3); });
    check("[soft_cross_entropy] targets depend on parameters: expected constants "
          "(stop_gradient)",
          [&] { soft_cross_entropy(g, in({3, 2}), g.parameter(w), 1, 1); });
    check("[normalize_rows_in_place] x F32 [3,2], expected a parameter [M,D] in "
          "F32",
          [&] { normalize_rows_in_place(g, in({3, 2})); });
    linear(g, in({5, 2}), g.parameter(w), {});
    check("[normalize_rows_in_place] w was read by linear before: expected at "
          "the start of the step",
          [&] { normalize_rows_in_place(g, g.parameter(w)); });
    const Value correct =
        queue_contrastive(g, in({3}), linear(g, in({3, 2}), g.parameter(w), {}),
                          1, 1)
            .correct;
    check("[queue_contrastive] a gradient reached the count of correct rows, "
          "which has none",
          [&] { backward(g, correct, g.constant({1}, 1)); });
  }

  TEST_CASE("a position outside the queue is an error") {
    for (const double bad : {-1.0, 6.0, std::nan("")}) {
      const std::vector<Matrix> m = {
          {Array({6, 2}), Matrix::Role::kBuffer},
          {scalar(bad), Matrix::Role::kBuffer},
          {Array({3, 2})}};
      CHECK_THROWS_AS(
          evaluate(m,
                   [](Graph& g, std::span<const Value> v, auto&) -> Recorded {
                     push_rows(g, v[0], v[1], v[2]);
                     return {inner(g, v[2], v[2]), {}};
                   }),
          Error);
    }
  }

  TEST_CASE("codes: a column of sum 0 stays 0, what is not finite stays so") {
    const auto codes = [](std::vector<float> s) {
      return run_on(s, {2, 3}, [](Graph& g, Value v) {
        return sinkhorn(g, v, 0.05, 3);
      });
    };
    // exp(-20 / .05) is 0 in F32.
    const auto zero = codes({0.5f, -19, 0.1f, 0.2f, -19, 0.9f});
    for (std::size_t i = 0; i < 6; ++i)
      CHECK((i % 3 == 1 ? zero[i] == 0 : zero[i] > 0));
    // Every column of one row: the row stays 0.
    const auto row = codes({0.5f, 0.3f, 0.1f, -19, -19, -19});
    for (std::size_t i = 3; i < 6; ++i) CHECK(row[i] == 0);
    for (const float bad : {std::nanf(""), INFINITY}) {
      const auto y = codes({0.5f, bad, 0.1f, 0.2f, 0.3f, 0.9f});
      CHECK(std::isnan(y[1]));
    }
  }

  TEST_CASE("a NaN comes through") {
    std::vector<float> x(16, 0.5f);
    x[6] = std::nanf("");
    const auto unit = run_on(x, {4, 4}, [](Graph& g, Value v) {
      return l2_normalize(g, v);
    });
    for (std::size_t i = 0; i < 16; ++i)
      CHECK(std::isnan(unit[i]) == (i / 4 == 1));
    CHECK(std::isnan(run_on(x, {4, 4}, [](Graph& g, Value v) {
      return contrastive(g, v, {0, 2, 1, 1}).loss;
    })[0]));
    CHECK(std::isnan(run_on(x, {4, 4}, [](Graph& g, Value v) {
      return queue_contrastive(g, row_inner(g, v, v), v, 1, 1).loss;
    })[0]));
    CHECK(std::isnan(run_on(x, {4, 4}, [](Graph& g, Value v) {
      return soft_cross_entropy(g, v, g.constant({4, 4}, 0.25), 1, 1);
    })[0]));
  }

  // Embeddings that have collapsed agree with everything, and are not right.
  TEST_CASE("a tie is not correct") {
    const std::vector<float> same(16, 0.5f);
    CHECK(run_on(same, {4, 4}, [](Graph& g, Value v) {
            return contrastive(g, v, {0, 2, 1, 1}).correct;
          })[0] == 0);
    CHECK(run_on(same, {4, 4}, [](Graph& g, Value v) {
            return queue_contrastive(g, row_inner(g, v, g.constant({4, 4}, 0.25)),
                                     v, 1, 1).correct;
          })[0] == 0);
    Parameters p;
    p.allocate(true);
    Graph g(p);
    const Value labels = g.input("labels", {4}, DType::kI32);
    const Value correct = top_hits(g, g.constant({4, 4}, 0.5), labels, 1);
    g.keep(correct);
    BoundExecutable run(std::move(g), p);
    const std::vector<std::int32_t> classes = {0, 1, 2, 3};
    run.set_input(labels, classes.data());
    run.run();
    CHECK(floats(run->tensor(correct))[0] == 0);
  }

  TEST_CASE("the same bits for any number of threads") {
    constexpr std::int64_t kRows = 300, kColumns = 600;
    const auto x = hashed("threads", kRows * kColumns, 2);
    const auto all = [&] {
      std::vector<float> out;
      for (const std::function<Value(Graph&, Value)>& record :
           {std::function<Value(Graph&, Value)>(
                [](Graph& g, Value v) { return inner(g, v, v); }),
            {[](Graph& g, Value v) { return row_inner(g, v, v); }},
            {[](Graph& g, Value v) { return l2_normalize(g, v); }},
            {[](Graph& g, Value v) { return sinkhorn(g, v, 0.05, 3); }},
            {[](Graph& g, Value v) { return column_deviation(g, v); }},
            {[](Graph& g, Value v) {
              return contrastive(g, v, {20, kColumns / 2, 0.1, 1}).loss;
            }},
            {[](Graph& g, Value v) {
              return soft_cross_entropy(
                  g, v, g.constant({kRows, kColumns}, 0.1), 0.1, 1);
            }}}) {
        const auto y = run_on(x, {kRows, kColumns}, record);
        out.insert(out.end(), y.begin(), y.end());
      }
      return out;
    };
    const int before = omp_get_max_threads();
    omp_set_num_threads(1);
    const auto one = all();
    for (const int threads : {2, 3, 5}) {
      omp_set_num_threads(threads);
      CHECK(all() == one);
    }
    omp_set_num_threads(before);
  }
}

}  // namespace
