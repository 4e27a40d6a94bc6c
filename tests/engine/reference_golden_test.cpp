// The reference operations against PyTorch: forward, gradients, optimisers.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "tests/support/compare.h"
#include "tests/support/golden.h"
#include "tests/support/margin.h"
#include "tests/support/reference.h"

using namespace music;
using music::reference::Array;
using music::test::Golden;
using music::test::max_relative;
using music::test::within;

namespace {

// Against a golden made with torch: array of the reference in NHWC or plain.
void expect_golden(const Golden& golden, const std::string& name,
                   const Array& actual) {
  CAPTURE(name);
  std::vector<double> expected = golden.get(name);
  const test::Dims shape = golden.shape(name);
  if (shape.size() == 4) expected = test::channels_last(expected, shape);
  CHECK(within(max_relative(actual.data, expected), 1e-12));
}

// The hashed tensor `name` of PyTorch's shape, channels last if of rank 4.
Array array(const std::string& name, const test::Dims& s, double scale = 1,
             double offset = 0) {
  std::vector<float> v = test::hashed(name, test::elements(s), scale, offset);
  if (s.size() != 4) return Array(s, v);
  return Array({s[0], s[2], s[3], s[1]}, test::channels_last(v, s));
}

}  // namespace

TEST_SUITE("reference_golden") {
  TEST_CASE("against PyTorch: convolution") {
    const Golden golden("ops");
    struct Case {
      std::string name;
      test::Dims x, w;
      int stride, pad;
    };
    for (const Case& t : {Case{"conv_3x3", {2, 3, 7, 6}, {4, 3, 3, 3}, 2, 1},
                          Case{"conv_7x7", {1, 3, 9, 8}, {2, 3, 7, 7}, 2, 3},
                          Case{"conv_1x1", {3, 4, 5, 5}, {6, 4, 1, 1}, 2, 0}}) {
      const Array x = array(t.name + "/x", t.x),
                  w = array(t.name + "/w", t.w);
      expect_golden(golden, t.name + "/y",
                    reference::conv2d(x, w, t.stride, t.pad));
      const Array dy = array(t.name + "/weights", golden.shape(t.name + "/y"));
      const auto g = reference::conv2d_backward(x, w, dy, t.stride, t.pad);
      expect_golden(golden, t.name + "/dx", g.dx);
      expect_golden(golden, t.name + "/dw", g.dw);
    }
  }

  TEST_CASE("against PyTorch: batch norm") {
    const Golden golden("ops");
    const std::string name = "batch_norm/";
    const test::Dims s{6, 3, 4, 3};
    const BatchNormSpec spec{.groups = 2, .relu = true};
    const Array x = array(name + "x", s),
                residual = array(name + "residual", s);
    const Array gamma = array(name + "gamma", {3}, 1, 1);
    const Array beta = array(name + "beta", {3}),
                dy = array(name + "weights", s);
    Array mean({3}), var({3}, std::vector<int>(3, 1));
    const auto forward =
        reference::batch_norm(x, gamma, beta, &residual, spec, &mean, &var);
    expect_golden(golden, name + "y", forward.y);
    expect_golden(golden, name + "running_mean", mean);
    expect_golden(golden, name + "running_var", var);
    expect_golden(golden, name + "inference",
                  reference::batch_norm_inference(x, gamma, beta, mean, var,
                                                  nullptr, {}));
    const auto g = reference::batch_norm_backward(x, gamma, forward, dy, spec);
    expect_golden(golden, name + "dx", g.dx);
    expect_golden(golden, name + "dgamma", g.dgamma);
    expect_golden(golden, name + "dbeta", g.dbeta);
    expect_golden(golden, name + "dresidual", g.dresidual);
  }

  TEST_CASE("against PyTorch: the rest") {
    const Golden golden("ops");
    const auto dy = [&](const std::string& name) {
      return array(name + "/weights", golden.shape(name + "/y"));
    };
    {  // whole numbers: windows full of ties
      Array x = array("max_pool/x", {2, 3, 8, 7}, 6);
      for (double& v : x.data) v = std::floor(v);
      const auto forward = reference::max_pool(x, 3, 2, 1);
      expect_golden(golden, "max_pool/y", forward.y);
      expect_golden(golden, "max_pool/dx",
                    reference::max_pool_backward(x, forward, dy("max_pool")));
    }
    {
      const Array x = array("global_avg_pool/x", {2, 3, 4, 5});
      expect_golden(golden, "global_avg_pool/y", reference::global_avg_pool(x));
      expect_golden(
          golden, "global_avg_pool/dx",
          reference::global_avg_pool_backward(x, dy("global_avg_pool")));
    }
    {
      const Array x = array("linear/x", {5, 7}),
                  w = array("linear/w", {4, 7});
      const Array b = array("linear/b", {4});
      expect_golden(golden, "linear/y", reference::linear(x, w, &b));
      const auto g = reference::linear_backward(x, w, dy("linear"));
      expect_golden(golden, "linear/dinput", g.dx);
      expect_golden(golden, "linear/dweight", g.dw);
      expect_golden(golden, "linear/dbias", g.db);
    }
    {
      const std::vector<std::int64_t> begin{0, 3, 8, 10};
      const Array x = array("segment_softmax/x", {4, 10}, 6);
      const Array q = reference::segment_softmax(x, begin, 0.5);
      expect_golden(golden, "segment_softmax/y", q);
      expect_golden(golden, "segment_softmax/dx",
                    reference::segment_softmax_backward(q, begin, 0.5,
                                                        dy("segment_softmax")));
    }
    {
      const Array x = array("cross_entropy/x", {5, 5}, 100);
      const auto out = reference::cross_entropy(x, {2, 0, 4, 4, 1});
      Array loss({1}), dx = out.dlogits;
      loss[0] = out.loss;
      for (double& d : dx.data)
        d *= test::hashed("cross_entropy/weights", 1)[0];
      expect_golden(golden, "cross_entropy/y", loss);
      expect_golden(golden, "cross_entropy/dx", dx);
    }
  }

  TEST_CASE("against PyTorch: optimisers") {
    const Golden golden("optimizer");
    const std::map<std::string, test::Dims> shapes{{"matrix", {6, 10}},
                                                   {"kernel", {4, 3, 3, 3}},
                                                   {"vector", {7}},
                                                   {"zero", {3, 4}}};
    for (const std::string name :
         {"lars", "lars_decay", "sgd", "sgd_decay", "sgd_nesterov"}) {
      const auto o = golden.get(name + "/options"),
                 rates = golden.get(name + "/rates");
      OptimizerSpec spec;
      spec.kind = o[0] > 0 ? OptimizerKind::kSgd : OptimizerKind::kLars;
      spec.momentum = o[1];
      spec.weight_decay = o[2];
      spec.eta = o[3];
      spec.lr_1d = o[4];
      spec.decay_1d = o[5] > 0;
      spec.nesterov = o[6] > 0;
      for (const auto& [key, shape] : shapes) {
        CAPTURE(name);
        CAPTURE(key);
        const std::string parameter = "optimizer/" + key;
        const std::int64_t n = test::elements(shape);
        Array value(shape, test::hashed(parameter, n, key == "zero" ? 0 : 2));
        Array momentum(shape);
        std::vector<double> history;
        for (std::size_t step = 0; step < rates.size(); ++step) {
          const Array grad(
              shape, test::hashed(fmt::format("{}/grad{}", parameter, step), n,
                                  0.125));
          reference::optimizer_step(spec, rates[step], grad, value, momentum);
          history.insert(history.end(), value.data.begin(), value.data.end());
        }
        CHECK(
            within(max_relative(history, golden.get(name + "/" + key)), 1e-12));
      }
    }
  }

}  // TEST_SUITE
