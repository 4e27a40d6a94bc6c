// The gradient of every reference operation against finite differences, on
// random small shapes; and that the checkers can fail.
#include "tests/support/reference.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <random>
#include <string>

#include "engine/core/half.h"
#include "tests/support/compare.h"
#include "tests/support/gradcheck.h"
#include "tests/support/margin.h"
#include "tests/support/reference_detection.h"

using namespace music;
using music::reference::Array;
using music::test::Branches;
using music::test::check_gradient;
using music::test::GradientCheck;
using music::test::kGradientTolerance;
using music::test::max_relative;
using music::test::within;

namespace {

std::mt19937_64 generator(20240607);

Array random(std::vector<std::int64_t> shape, double low = -1,
             double high = 1) {
  Array a(std::move(shape));
  std::uniform_real_distribution<double> uniform(low, high);
  for (double& v : a.data) v = uniform(generator);
  return a;
}

double dot(const Array& a, const Array& b) {
  return test::sum_pairs(a.data, b.data,
                         [](double x, double y) { return x * y; });
}

// Units of y that are above 0.
Branches active(const Array& y) {
  Branches out;
  for (std::int64_t i = 0; i < y.size(); ++i)
    if (y[i] > 0) out.push_back(i);
  return out;
}

void expect_good(const std::string& what, const GradientCheck& check) {
  CAPTURE(what);
  CHECK(within(check.worst, kGradientTolerance, what));
  CHECK(check.checked > 0);
  CHECK(check.skipped * 4 <= check.checked);
}

}  // namespace

TEST_SUITE("reference") {
  TEST_CASE("convolution gradients") {
    struct Case {
      std::int64_t n, h, w, c, k, r, s;
      int stride, pad;
    };
    for (const Case& t :
         {Case{1, 5, 7, 3, 2, 3, 3, 1, 1}, Case{2, 7, 5, 2, 3, 3, 3, 2, 1},
          Case{1, 9, 8, 3, 2, 7, 7, 2, 3}, Case{3, 5, 5, 4, 2, 1, 1, 2, 0},
          Case{2, 4, 3, 1, 1, 3, 1, 1, 0}, Case{1, 3, 3, 2, 3, 3, 3, 2, 2}}) {
      const std::string what =
          fmt::format("{}x{}x{}x{} {}x{} s{} p{}", t.n, t.h, t.w, t.c, t.r, t.s,
                      t.stride, t.pad);
      Array x = random({t.n, t.h, t.w, t.c}), w = random({t.k, t.r, t.s, t.c});
      const Array dy = random(reference::conv2d(x, w, t.stride, t.pad).shape);
      const auto loss = [&] {
        return dot(reference::conv2d(x, w, t.stride, t.pad), dy);
      };
      const auto g = reference::conv2d_backward(x, w, dy, t.stride, t.pad);
      expect_good(what + " dx", check_gradient(loss, x, g.dx));
      expect_good(what + " dw", check_gradient(loss, w, g.dw));
    }
  }

  TEST_CASE("batch norm gradients") {
    for (const int groups : {1, 2})
      for (const bool relu : {false, true})
        for (const bool with_residual : {false, true})
          for (const std::vector<std::int64_t>& shape :
               {std::vector<std::int64_t>{2, 3, 2, 3}, {6, 5}, {4, 1, 3, 2}}) {
            const BatchNormSpec spec{.groups = groups, .relu = relu};
            const std::string what =
                fmt::format("groups {} relu {} residual {} rank {}", groups,
                            relu, with_residual, shape.size());
            const std::int64_t c = shape.back();
            Array x = random(shape), gamma = random({c}, 0.5, 1.5);
            Array beta = random({c}), residual = random(shape);
            const Array dy = random(shape);
            const auto forward = [&] {
              return reference::batch_norm(
                  x, gamma, beta, with_residual ? &residual : nullptr, spec);
            };
            const auto loss = [&] { return dot(forward().y, dy); };
            const std::function<Branches()> branches =
                relu ? [&] { return active(forward().y); }
                     : std::function<Branches()>();
            const auto g =
                reference::batch_norm_backward(x, gamma, forward(), dy, spec);
            const auto check = [&](const char* name, Array& a,
                                   const Array& da) {
              expect_good(what + name,
                          check_gradient(loss, a, da, branches, 1e-5));
            };
            check(" dx", x, g.dx);
            check(" dgamma", gamma, g.dgamma);
            check(" dbeta", beta, g.dbeta);
            if (with_residual) check(" dresidual", residual, g.dresidual);
          }
  }

  TEST_CASE("batch norm groups are separate passes") {
    const BatchNormSpec one{}, two{.groups = 2};
    const Array x = random({4, 3, 2, 3}), gamma = random({3}),
                beta = random({3});
    Array mean = random({3}), var = random({3}, 0.5, 2);
    Array mean_parts = mean, var_parts = var;
    const auto whole =
        reference::batch_norm(x, gamma, beta, nullptr, two, &mean, &var);
    std::vector<double> parts;
    for (const int half : {0, 1}) {
      const auto* begin = x.data.data() + half * x.size() / 2;
      const Array part(
          {2, 3, 2, 3},
          std::span(begin, static_cast<std::size_t>(x.size() / 2)));
      const auto y = reference::batch_norm(part, gamma, beta, nullptr, one,
                                           &mean_parts, &var_parts)
                         .y;
      parts.insert(parts.end(), y.data.begin(), y.data.end());
    }
    CHECK(whole.y.data == parts);
    CHECK(mean.data == mean_parts.data);
    CHECK(var.data == var_parts.data);
  }

  TEST_CASE("batch norm of one value a channel") {
    const Array x = random({1, 4}), gamma = random({4}), beta = random({4});
    Array mean({4}), var({4});
    const auto out =
        reference::batch_norm(x, gamma, beta, nullptr, {}, &mean, &var);
    CHECK(out.y.data == beta.data);
    CHECK(var.data == std::vector<double>(4, 0.0));
  }

  TEST_CASE("pooling gradients") {
    struct Case {
      std::int64_t n, h, w, c;
      int size, stride, pad;
    };
    for (const Case& t :
         {Case{1, 7, 5, 3, 3, 2, 1}, Case{2, 6, 6, 2, 3, 2, 1},
          Case{1, 5, 4, 1, 2, 2, 0}, Case{2, 4, 5, 2, 3, 1, 1}}) {
      Array x = random({t.n, t.h, t.w, t.c}, -3, 3);
      const auto forward = [&] {
        return reference::max_pool(x, t.size, t.stride, t.pad);
      };
      const Array dy = random(forward().y.shape);
      expect_good("max_pool",
                  check_gradient([&] { return dot(forward().y, dy); }, x,
                                 reference::max_pool_backward(x, forward(), dy),
                                 [&] { return forward().winner; }));
      const reference::PoolAxis rows{t.size, t.stride,
                                     (t.h - t.size) / t.stride + 1};
      const reference::PoolAxis columns{t.size, 1, t.w - t.size + 1};
      const Array dpart = random({t.n, rows.count, columns.count, t.c});
      expect_good(
          "avg_pool",
          check_gradient(
              [&] { return dot(reference::avg_pool(x, rows, columns), dpart); },
              x, reference::avg_pool_backward(x, dpart, rows, columns)));
      const Array dmean = random({t.n, t.c});
      expect_good("global_avg_pool",
                  check_gradient(
                      [&] { return dot(reference::global_avg_pool(x), dmean); },
                      x, reference::global_avg_pool_backward(x, dmean)));
    }
  }

  TEST_CASE("roi_align gradient") {
    const Array rois({4, 5}, std::vector<double>{0, -9, 3, 40, 61, 1, 20, 20, 25,
                                                 24, 1, 0, 0, 96, 80, -1, 0, 0, 9, 9});
    const RoiAlignSpec spec{3, 1.0f / 16};
    Array x = random({2, 5, 6, 2});
    const Array dy = random({4, 3, 3, 2});
    expect_good("roi_align",
                check_gradient(
                    [&] { return dot(reference::roi_align(x, rois, spec), dy); }, x,
                    reference::roi_align_backward(x, rois, spec, dy)));
  }

  TEST_CASE("elementwise, linear and reduce gradients") {
    for (const std::int64_t rows : {1, 4}) {
      Array x = random({rows, 7}), w = random({3, 7}), bias = random({3});
      Array other = random({rows, 7});
      const Array dy = random({rows, 3}), dx = random({rows, 7});
      for (const Array* b : {static_cast<const Array*>(&bias),
                             static_cast<const Array*>(nullptr)}) {
        const auto loss = [&] { return dot(reference::linear(x, w, b), dy); };
        const auto g = reference::linear_backward(x, w, dy);
        expect_good("linear dx", check_gradient(loss, x, g.dx));
        expect_good("linear dw", check_gradient(loss, w, g.dw));
        if (b) expect_good("linear db", check_gradient(loss, bias, g.db));
      }
      expect_good("relu",
                  check_gradient([&] { return dot(reference::relu(x), dx); }, x,
                                 reference::relu_backward(x, dx),
                                 [&] { return active(reference::relu(x)); }));
      const auto sum = [&] { return dot(reference::add(x, other), dx); };
      expect_good("add a", check_gradient(sum, x, dx));
      expect_good("add b", check_gradient(sum, other, dx));
      expect_good("sum",
                  check_gradient([&] { return reference::reduce_sum(x); }, x,
                                 reference::reduce_backward(x, 1)));
      expect_good("mean",
                  check_gradient([&] { return reference::reduce_mean(x); }, x,
                                 reference::reduce_backward(
                                     x, 1 / static_cast<double>(x.size()))));
    }
  }

  TEST_CASE("softmax and cross-entropy gradients") {
    for (const double temperature : {1.0, 0.5})
      for (const std::vector<std::int64_t>& begin :
           {std::vector<std::int64_t>{0, 3, 6, 9}, {0, 2, 7, 9}, {0, 9}}) {
        Array z = random({2, 9}, -3, 3);
        const Array dq = random({2, 9});
        const auto forward = [&] {
          return reference::segment_softmax(z, begin, temperature);
        };
        expect_good("segment_softmax",
                    check_gradient([&] { return dot(forward(), dq); }, z,
                                   reference::segment_softmax_backward(
                                       forward(), begin, temperature, dq)));
      }
    Array logits = random({3, 5}, -4, 4);
    const std::vector<std::int32_t> labels{4, 0, 4};
    expect_good(
        "cross_entropy",
        check_gradient(
            [&] { return reference::cross_entropy(logits, labels).loss; },
            logits, reference::cross_entropy(logits, labels).dlogits));
  }

  TEST_CASE("gradients of what objectives are made of") {
    for (const double floor : {1e-12, 1.2}) {
      Array x = random({4, 5});
      const Array dy = random({4, 5});
      // Which rows are shorter than the floor.
      const auto shorter = [&] {
        Branches b;
        for (std::int64_t row = 0; row < 4; ++row)
          b.push_back(reference::row_norm(x, row) < floor);
        return b;
      };
      expect_good(
          "l2_normalize",
          check_gradient(
              [&] { return dot(reference::l2_normalize(x, floor), dy); }, x,
              reference::l2_normalize_backward(x, dy, floor), shorter));
    }
    Array a = random({3, 4}), b = random({3, 4});
    const Array dy = random({3});
    const auto product = [&] { return dot(reference::row_inner(a, b), dy); };
    expect_good("row_inner a", check_gradient(
        product, a, reference::row_inner_backward(dy, b)));
    expect_good("row_inner b", check_gradient(
        product, b, reference::row_inner_backward(dy, a)));
    const auto all = [&] { return reference::inner(a, b); };
    expect_good("inner", check_gradient(all, a, b));

    Array x = random({6, 3});
    const Array dx = random({6, 3});
    expect_good("interleave_rows",
                check_gradient(
                    [&] { return dot(reference::interleave_rows(x, 2), dx); },
                    x, reference::interleave_rows(dx, 3)));

    for (const double t : {1.0, 0.3}) {
      Array z = random({3, 5}, -2, 2);
      const Array targets = random({3, 5}, 0, 1);
      expect_good("soft_cross_entropy",
                  check_gradient(
                      [&] {
                        return reference::soft_cross_entropy(z, targets, t, 0.7)
                            .loss;
                      },
                      z,
                      reference::soft_cross_entropy(z, targets, t, 0.7)
                          .dlogits));
      Array scores = random({4, 10});
      const auto nt_xent = [&] {
        return reference::contrastive(scores, 2, 5, t, 0.3);
      };
      expect_good("contrastive", check_gradient([&] { return nt_xent().loss; },
                                                scores, nt_xent().dscores));
      const auto queue = [&] {
        return reference::queue_contrastive(scores, t, 0.3);
      };
      expect_good("queue_contrastive",
                  check_gradient([&] { return queue().loss; }, scores,
                                 queue().dscores));
    }
  }

  TEST_CASE("cast rounds to nearest even") {
    std::uniform_real_distribution<double> exponent(-30, 18);
    std::vector<float> values{
        0,        65504,        65519,        65520,       0x1p-24f, 0x1p-25f,
        0x3p-26f, 1 + 0x1p-11f, 1 + 0x3p-11f, 1 + 0x1p-8f, -2.5f};
    for (int i = 0; i < 2000; ++i)
      values.push_back(static_cast<float>((i % 2 ? 1 : -1) *
                                          std::exp2(exponent(generator))));
    for (const float v : values) {
      CAPTURE(v);
      CHECK(reference::round_to(v, reference::kFloat16) ==
            to_float(to_half(v)));
      CHECK(reference::round_to(v, reference::kBFloat16) ==
            to_float(to_bfloat16(v)));
      CHECK(reference::round_to(v / 3.0, reference::kFloat32) ==
            static_cast<float>(v / 3.0));
    }
  }

  TEST_CASE("image_normalize") {
    const Array x({1, 1, 2, 3}, std::vector<int>{0, 255, 51, 102, 153, 204});
    const Array y = reference::image_normalize(x, {0, 0.5, 0.2}, {1, 0.5, 0.1});
    CHECK(max_relative(y.data, std::vector<double>{0, 1, 0, 0.4, 0.2, 6}) <
          1e-14);
  }

  TEST_CASE("the checkers can fail") {
    Array x = random({3, 4});
    const Array dy = random({3, 4});
    const auto loss = [&] {
      double sum = 0;
      for (std::int64_t i = 0; i < x.size(); ++i) sum += x[i] * x[i] * dy[i];
      return sum;
    };
    Array g(x.shape);
    for (std::int64_t i = 0; i < x.size(); ++i) g[i] = 2 * x[i] * dy[i];
    CHECK(within(check_gradient(loss, x, g).worst, kGradientTolerance));
    g[5] += 1e-5;
    CHECK(check_gradient(loss, x, g).worst > kGradientTolerance);
    g[5] = NAN;
    CHECK_FALSE(check_gradient(loss, x, g).worst <= kGradientTolerance);
    CHECK_FALSE(check_gradient(loss, x, Array({3})).worst <=
                kGradientTolerance);
    // A kink at 0 inside the stencil is left out, not averaged.
    Array edge({1}, std::vector<double>{1e-4});
    const Array one({1}, std::vector<double>{1});
    const auto height = [&] { return reference::relu(edge)[0]; };
    CHECK(check_gradient(height, edge, one).worst > kGradientTolerance);
    CHECK(check_gradient(height, edge, one, [&] {
            return active(reference::relu(edge));
          }).skipped == 1);

    const std::vector<float> a{1, 2, 3}, b{1, 2, 4};
    CHECK(test::nmse(a, a) == 0);
    CHECK(test::nmse(a, b) == doctest::Approx(1.0 / 21));
    CHECK(test::norm_relative(a, b) == doctest::Approx(1 / std::sqrt(21.0)));
    CHECK(max_relative(a, b) == doctest::Approx(0.25));
    CHECK(std::isnan(max_relative(std::vector<float>{NAN, 2, 3}, b)));
    CHECK(std::isnan(test::norm_relative(std::vector<float>{1, NAN, 3}, b)));
    CHECK(std::isinf(max_relative(std::vector<float>{1}, b)));
    CHECK(std::isinf(test::norm_relative(std::vector<float>{1}, b)));
  }

}  // TEST_SUITE
