// The objectives of other methods, composed of ops, against numbers of numpy in
// float64 on X = sin(i+2j), Y = sin(i+2j) + .3 cos(3i-j), U = cos(i-j),
// Z = cos(2i+j), four rows of six; and against what a usual slip gives, which
// they must not match.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "engine/ops/column_deviation.h"
#include "engine/ops/normalize_rows_in_place.h"
#include "engine/ops/push_rows.h"
#include "engine/ops/reduce.h"
#include "tests/support/compare.h"
#include "tests/support/evaluate.h"
#include "tests/support/margin.h"
#include "tests/support/objectives.h"
#include "tests/support/reference_rows.h"

namespace {

using namespace music;
using namespace music::test;
using reference::Array;
using Values = std::span<const Value>;
using Role = Matrix::Role;

constexpr Batch kBatch{4};

Array filled(std::int64_t rows, std::int64_t columns,
             const std::function<double(double, double)>& f) {
  Array a({rows, columns});
  for (std::int64_t i = 0; i < a.size(); ++i)
    a[i] = f(static_cast<double>(i / columns), static_cast<double>(i % columns));
  return a;
}

const Array kX = filled(4, 6, [](double i, double j) { return std::sin(i + 2 * j); });
const Array kY = filled(4, 6, [](double i, double j) {
  return std::sin(i + 2 * j) + 0.3 * std::cos(3 * i - j);
});
const Array kU = filled(4, 6, [](double i, double j) { return std::cos(i - j); });
const Array kZ = filled(4, 6, [](double i, double j) { return std::cos(2 * i + j); });
// Five prototypes, not yet of unit length.
const Array kC = filled(5, 6, [](double k, double j) {
  return std::sin(1 + k * j + 0.7 * k);
});
// MoCo's queue of eight.
const Array kQueue = reference::l2_normalize(
    filled(8, 6, [](double m, double j) { return std::cos(j + 1.5 * m); }));

// F32 of numbers about 1.
constexpr double kBound = 1e-6;

void check_row(const std::vector<float>& v, std::size_t row,
               const std::vector<double>& expected) {
  for (std::size_t k = 0; k < expected.size(); ++k)
    CHECK(near(static_cast<double>(v[row * expected.size() + k]), expected[k],
               kBound));
}

void check_gradient_of(const std::vector<float>& d, double first, double size) {
  CHECK(near(static_cast<double>(d[0]), first, kBound));
  CHECK(near(norm(d), size, kBound));
}

bool far(double value, double wrong) {
  return std::abs(value - wrong) > 1e-3 * std::abs(wrong);
}

// Rows of each of two processes that know nothing of each other.
std::vector<Value> halves(Graph& g, Value x) {
  return {slice_rows(g, x, 0, 2), slice_rows(g, x, 2, 2)};
}

TEST_SUITE("objective_golden") {
  TEST_CASE("SimCLR") {
    struct Golden { double t, loss, first, dx, dy, wrong; };
    for (const Golden& e :
         {Golden{0.1, 0.0773454372, 0.0188312619, 0.1547487171, 0.0959247259,
                 0.0320395666},
          Golden{0.5, 1.7041708089, 0.0541213648, 0.3955014281, 0.2746406901,
                 1.1117331460}}) {
      const auto r = evaluate(
          {{kX}, {kY}}, [&](Graph& g, Values v, auto&) -> Recorded {
            const auto c = simclr(g, v[0], v[1], e.t, kBatch);
            return {c.loss, {c.correct}};
          });
      CHECK(near(r.loss, e.loss, kBound));
      check_gradient_of(r.gradients[0], e.first, e.dx);
      CHECK(near(norm(r.gradients[1]), e.dy, kBound));
      CHECK(r.kept[0] == std::vector<float>{8});
      CHECK(far(r.loss, e.wrong));
      // Negatives of this process alone: the mean over two of them.
      const auto slip = evaluate(
          {{kX}, {kY}}, [&](Graph& g, Values v, auto&) -> Recorded {
            const auto x = halves(g, v[0]), y = halves(g, v[1]);
            return {times(g, add(g, simclr(g, x[0], y[0], e.t, {2}).loss,
                                 simclr(g, x[1], y[1], e.t, {2}).loss), 0.5),
                    {}};
          });
      CHECK(near(slip.loss, e.wrong, kBound));
    }
  }

  TEST_CASE("SimSiam and BYOL") {
    const std::vector<Matrix> matrices = {{kX}, {kY}, {kU}, {kZ}};
    // z is trained too, elsewhere: stop_gradient must keep this loss from it.
    const auto elsewhere = [](Graph& g, Values v) {
      return times(g, add(g, reduce(g, v[2], ReduceKind::kSum),
                          reduce(g, v[3], ReduceKind::kSum)), 0);
    };
    const auto siam = evaluate(
        matrices, [&](Graph& g, Values v, auto&) -> Recorded {
          return {add(g, simsiam(g, v[0], v[1], v[2], v[3], kBatch),
                      elsewhere(g, v)),
                  {column_deviation(g, l2_normalize(g, v[2]))}};
        });
    CHECK(near(siam.loss, -0.0797193686, kBound));
    check_gradient_of(siam.gradients[0], -0.0438456908, 0.1457839035);
    CHECK(near(norm(siam.gradients[1]), 0.1333039125, kBound));
    CHECK(norm(siam.gradients[2]) == 0);
    CHECK(norm(siam.gradients[3]) == 0);
    double mean = 0;
    for (float v : siam.kept[0]) mean += static_cast<double>(v) / 6;
    CHECK(near(mean, 0.4050263397, kBound));

    const auto latent = evaluate(
        matrices, [&](Graph& g, Values v, auto&) -> Recorded {
          return {add(g, byol(g, v[0], v[1], v[2], v[3], kBatch),
                      elsewhere(g, v)), {}};
        });
    CHECK(near(latent.loss, 3.6811225257, kBound));
    check_gradient_of(latent.gradients[0], 4 * -0.0438456908,
                      4 * 0.1457839035);
    CHECK(near(norm(latent.gradients[1]), 4 * 0.1333039125, kBound));
  }

  TEST_CASE("MoCo: the queue of the last step, and the push behind it") {
    struct Golden { const Array &query, &key; double t, loss; };
    for (const Golden& e : {Golden{kX, kY, 0.2, 0.0676890690},
                            Golden{kX, kY, 0.07, 0.0000140290},
                            Golden{kY, kX, 0.2, 0.1111893223}}) {
      const std::vector<Matrix> matrices = {{e.query}, {e.key, Role::kConstant},
                                            {kQueue, Role::kBuffer},
                                            {Array({1}), Role::kBuffer}};
      const Record record = [&](Graph& g, Values v, auto& finish) -> Recorded {
        const Value key = l2_normalize(g, v[1]);
        const auto c = moco(g, v[0], key, v[2], e.t, kBatch);
        finish = [&g, key, queue = v[2], at = v[3]] {
          push_rows(g, queue, at, key);
        };
        return {c.loss, {c.correct, v[3]}};
      };
      const auto r = evaluate(matrices, record);
      CHECK(near(r.loss, e.loss, kBound));
      CHECK(r.kept[1] == std::vector<float>{4});
      if (e.t == 0.07)  // of 1 - p, not of 1 and p
        CHECK(within(relative_error(r.loss, e.loss), 1e-4));
      if (e.t != 0.2 || &e.query != &kX) continue;
      check_gradient_of(r.gradients[0], -0.0019055590, 0.0287956453);
      // Its own keys as negatives: what a push before the logits gives.
      CHECK(far(r.loss, 0.7928081218));
      CHECK(near(evaluate(matrices, record, {.times = 2}).loss, 0.7928081218,
                 kBound));
    }
  }

  TEST_CASE("SwAV") {
    // The prototypes come as they are, and are normalised in the step.
    const auto run = [](std::vector<Matrix> crops, auto extra) {
      crops.push_back({kC});
      return evaluate(crops, [&](Graph& g, Values v, auto&) -> Recorded {
        const Value c = v.back();
        normalize_rows_in_place(g, c);
        std::vector<Value> kept;
        const Value loss =
            swav(g, {v.begin(), v.end() - 1}, c, kBatch, &kept);
        extra(g, v, kept);
        return {loss, kept};
      });
    };
    const auto r = run({{kX}, {kY}}, [](Graph& g, Values v, auto& kept) {
      kept.push_back(linear(g, l2_normalize(g, v[0]), v.back(), {}));
    });
    CHECK(near(r.loss, 3.8208909648, kBound));
    check_gradient_of(r.gradients[0], -0.2915126864, 0.8454336762);
    check_gradient_of(r.gradients[2], -0.5068418617, 3.9690715361);
    const auto &x = r.kept[0], &y = r.kept[1];
    check_row(r.kept[2], 0, {0.0783540792, 0.1073174207, -0.6897810064,
                             0.3710914081, 0.9038392113});
    check_row(x, 0, {0.0461544356, 0.0759770865, 0.0000000000, 0.3853356955,
                     0.4925327824});
    check_row(x, 3, {0.3826937556, 0.1994136335, 0.4178655122, 0.0000270987,
                     0.0000000000});
    check_row(y, 0, {0.0273978387, 0.3520011997, 0.0000000000, 0.1328256626,
                     0.4877752990});
    std::vector<float> columns(5);
    for (std::size_t i = 0; i < x.size(); ++i) columns[i % 5] += x[i];
    check_row(columns, 0, {0.9049087773, 0.8240480969, 1.2213576519,
                           0.5555037967, 0.4941816772});
    CHECK(far(r.loss, 6.1669620463));

    const auto three = run({{kX}, {kY}, {kU}}, [](auto&&...) {});
    CHECK(near(three.loss, 4.2638913920, kBound));
  }

  TEST_CASE("SwAV: a queue behind the rows, and codes of each process") {
    const auto r = evaluate(
        {{kX}, {kY}, {kC}, {kZ, Role::kConstant}},
        [](Graph& g, Values v, auto&) -> Recorded {
          normalize_rows_in_place(g, v[2]);
          const auto score = [&](Value x) {
            return linear(g, l2_normalize(g, x), v[2], {});
          };
          const Value sx = score(v[0]), sy = score(v[1]);
          const Value with_queue = slice_rows(
              g, sinkhorn(g, concat_rows(g, {sx, score(v[3])}), 0.05, 3), 0, 4);
          Value loss;
          for (const auto& [from, to] : {std::pair{sx, sy}, {sy, sx}}) {
            const auto rows = halves(g, from);
            const Value codes = concat_rows(
                g, {sinkhorn(g, rows[0], 0.05, 3), sinkhorn(g, rows[1], 0.05, 3)});
            const Value part = soft_cross_entropy(g, to, codes, 0.1, 0.125);
            loss = loss ? add(g, loss, part) : part;
          }
          return {loss, {with_queue}};
        });
    check_row(r.kept[0], 0, {0.0101783658, 0.0000000010, 0.0000000000,
                             0.2227643185, 0.7670573147});
    CHECK(near(r.loss, 6.1669620463, kBound));
  }
}

}  // namespace
