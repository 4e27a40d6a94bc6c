// The forms of a head that methods describe: names, counts, forward, gradients
// and the target network, against the reference.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "engine/core/rng.h"
#include "engine/graph/autograd.h"
#include "layers/projector.h"
#include "tests/support/compare.h"
#include "tests/support/graph_run.h"
#include "tests/support/margin.h"
#include "tests/support/reference_elementwise.h"
#include "tests/support/reference_norm.h"

namespace {

using namespace music;
using namespace music::test;
using reference::Array;
using LastNorm = HeadSpec::LastNorm;

struct Form {
  std::string name;
  std::int64_t features;
  HeadSpec spec;
  std::int64_t trained;  // parameters: docs of the methods' authors
  std::string names;     // in order; (frozen)
};

// The heads of the methods on a ResNet-50.
const std::vector<Form>& forms() {
  static const std::vector<Form> all = {
      {"VICReg", 2048, {{8192, 8192, 8192}}, 151044096,
       "0.weight 0.bias 1.weight 1.bias 3.weight 3.bias 4.weight 4.bias "
       "6.weight"},
      {"Barlow Twins", 2048, {{8192, 8192, 8192}, false}, 151027712,
       "0.weight 1.weight 1.bias 3.weight 4.weight 4.bias 6.weight"},
      {"SimCLR", 2048,
       {{2048, 128}, false, true, false, LastNorm::kNoBeta}, 4460672,
       "0.weight 1.weight 1.bias 3.weight 4.weight 4.bias(frozen)"},
      {"SimCLR v2", 2048,
       {{2048, 2048, 128}, false, true, false, LastNorm::kNoBeta}, 8659072,
       "0.weight 1.weight 1.bias 3.weight 4.weight 4.bias 6.weight 7.weight "
       "7.bias(frozen)"},
      {"SimSiam", 2048,
       {{2048, 2048, 2048}, false, true, false, LastNorm::kPlain}, 12591104,
       "0.weight 1.weight 1.bias 3.weight 4.weight 4.bias 6.weight"},
      {"SimSiam's predictor", 2048, {{512, 2048}, false, true, true}, 2100224,
       "0.weight 1.weight 1.bias 3.weight 3.bias"},
      {"BYOL", 2048, {{4096, 256}}, 9449472,
       "0.weight 0.bias 1.weight 1.bias 3.weight"},
      {"BYOL's predictor", 256, {{4096, 256}}, 2109440,
       "0.weight 0.bias 1.weight 1.bias 3.weight"},
      {"MoCo v2", 2048, {{2048, 128}, true, false, true}, 4458624,
       "0.weight 0.bias 2.weight 2.bias"},
      {"SwAV", 2048, {{2048, 128}, true, true, true}, 4462720,
       "0.weight 0.bias 1.weight 1.bias 3.weight 3.bias"},
      {"affine", 6, {{8, 4}, true, true, true, LastNorm::kAffine}, 116,
       "0.weight 0.bias 1.weight 1.bias 3.weight 3.bias 4.weight 4.bias"},
  };
  return all;
}

// A head of the form on 6 features, with everything drawn at random.
struct Small {
  static constexpr std::int64_t kFeatures = 6, kRows = 12;
  static constexpr int kGroups = 2;
  HeadSpec spec;
  Parameters p;
  Projector head;

  explicit Small(const HeadSpec& form)
      : spec(narrow(form)), head(p, "", kFeatures, spec) {
    p.with_target();
    p.allocate(true);
    p.initialise(1);
    Rng rng(2, RngPurpose::kTest);
    for (float* block : {p.flat_values(), p.flat_target()})
      for (std::int64_t i = 0; i < p.flat_elements(); ++i)
        block[i] = rng.uniform(-1, 1);
    for (std::size_t i = 0; i < p.table().size(); ++i)
      if (p.table()[i].frozen)
        for (const Tensor& t : {p.value(static_cast<int>(i)),
                                p.target(static_cast<int>(i))})
          for (float& v : t.span<float>()) v = 0;
  }
  static HeadSpec narrow(HeadSpec spec) {
    for (std::size_t i = 0; i < spec.widths.size(); ++i)
      spec.widths[i] = static_cast<std::int64_t>(9 - 2 * i);
    return spec;
  }
  std::vector<std::vector<float>> buffers() const {
    std::vector<std::vector<float>> all;
    for (std::size_t i = 0; i < p.buffers().size(); ++i)
      all.push_back(floats(p.buffer(static_cast<int>(i))));
    return all;
  }
};

// z, and where dz is given the gradient of every parameter in the order of the
// table; the weights are values or, with `target`, the target's.
Array reference_head(const Small& s, const Array& input, bool target,
                     const Array* dz, std::vector<Array>* gradients) {
  struct Layer {
    Array x, w, gamma, beta;
    bool bias, norm, last;
    reference::BatchNormResult normed;
    Array linear, y;
  };
  int next = 0;
  const auto take = [&] {
    const Tensor t = target ? s.p.target(next) : s.p.value(next);
    ++next;
    return Array({t.shape.dims().begin(), t.shape.dims().end()}, floats(t));
  };
  std::vector<Layer> layers;
  Array x = input;
  for (std::size_t i = 0; i < s.spec.widths.size(); ++i) {
    Layer l;
    l.last = i + 1 == s.spec.widths.size();
    l.x = x, l.w = take();
    l.bias = l.last ? s.spec.last_bias : s.spec.bias;
    const Array bias = l.bias ? take() : Array{};
    l.linear = reference::linear(x, l.w, l.bias ? &bias : nullptr);
    l.norm = l.last ? s.spec.last_norm != LastNorm::kNone : s.spec.norm;
    l.y = l.linear;
    if (l.norm) {
      l.gamma = l.beta = Array({l.w.dim(0)});
      for (double& g : l.gamma.data) g = 1;
      if (!l.last || s.spec.last_norm != LastNorm::kPlain)
        l.gamma = take(), l.beta = take();
      l.normed = reference::batch_norm(
          l.linear, l.gamma, l.beta, nullptr,
          {.groups = Small::kGroups, .relu = !l.last});
      l.y = l.normed.y;
    } else if (!l.last) {
      l.y = reference::relu(l.linear);
    }
    x = l.y;
    layers.push_back(std::move(l));
  }
  if (!dz) return x;
  Array dy = *dz;
  std::vector<Array> reversed;
  for (auto l = layers.rbegin(); l != layers.rend(); ++l) {
    if (l->norm) {
      const auto g = reference::batch_norm_backward(
          l->linear, l->gamma, l->normed, dy,
          {.groups = Small::kGroups, .relu = !l->last});
      if (!l->last || s.spec.last_norm != LastNorm::kPlain)
        reversed.push_back(g.dbeta), reversed.push_back(g.dgamma);
      dy = g.dx;
    } else if (!l->last) {
      dy = reference::relu_backward(l->linear, dy);
    }
    const auto g = reference::linear_backward(l->x, l->w, dy);
    if (l->bias) reversed.push_back(g.db);
    reversed.push_back(g.dw);
    dy = g.dx;
  }
  gradients->assign(reversed.rbegin(), reversed.rend());
  return x;
}

TEST_SUITE("head") {
  TEST_CASE("names, in PyTorch's numbers, and counts of the methods' heads") {
    for (const Form& form : forms()) {
      CAPTURE(form.name);
      Parameters p;
      const Projector head(p, "", form.features, form.spec);
      std::string names;
      std::int64_t trained = 0;
      for (const ParameterInfo& t : p.table()) {
        names += (names.empty() ? "" : " ") + t.name;
        if (t.frozen) names += "(frozen)";
        else trained += t.shape.elements();
      }
      CHECK(names == form.names);
      CHECK(trained == form.trained);
      CHECK(head.units() == form.spec.widths.back());
      // Running statistics of every batch norm, affine or not.
      const std::size_t norms =
          (form.spec.norm ? form.spec.widths.size() - 1 : 0) +
          (form.spec.last_norm != LastNorm::kNone ? 1 : 0);
      CHECK(p.buffers().size() == 2 * norms);
    }
    Parameters plain;
    const Projector head(plain, "projector", 2048, forms()[4].spec);
    CHECK(plain.buffers().back().name == "projector.7.running_var");
  }

  TEST_CASE("a head without layers") {
    Parameters p;
    CHECK_THROWS_WITH_AS(
        Projector(p, "predictor", 8, HeadSpec{}),
        "[projector] predictor has no layers, expected one or more", Error);
  }

  TEST_CASE("widths alone are VICReg's head, to the bit of its initial values") {
    Parameters a, b;
    const Projector widths(a, "projector", 64, {32, 16});
    const Projector form(b, "projector", 64, HeadSpec{.widths = {32, 16}});
    for (Parameters* p : {&a, &b}) p->allocate(false), p->initialise(3);
    REQUIRE(a.table().size() == b.table().size());
    for (int i = 0; i < static_cast<int>(a.table().size()); ++i)
      CHECK(floats(a.value(i)) == floats(b.value(i)));
  }

  TEST_CASE("forward, gradients and the target network follow the reference") {
    for (const Form& form : forms()) {
      CAPTURE(form.name);
      Small s(form.spec);
      Rng rng(3, RngPurpose::kTest);
      std::vector<float> input(Small::kRows * Small::kFeatures);
      for (float& v : input) v = rng.uniform(-1, 1);
      std::vector<float> weights(
          static_cast<std::size_t>(Small::kRows * s.head.units()));
      for (float& v : weights) v = rng.uniform(-1, 1);

      Graph g(s.p);
      const Value x = g.input("x", {Small::kRows, Small::kFeatures},
                              DType::kF32);
      const ForwardMode mode{.groups = Small::kGroups};
      ForwardMode target = mode;
      target.target = true;
      const Value z = s.head.forward(g, x, mode);
      const Value moved = s.head.forward(g, x, target);
      CHECK_FALSE(g.needs_gradient(moved));
      const Value dz = g.input("dz", g.shape(z), DType::kF32);
      g.keep(z), g.keep(moved);
      backward(g, inject_gradient(g, z, dz), g.constant({1}, 1));
      BoundExecutable run(std::move(g), s.p);
      run.set_input(x, input.data());
      run.set_input(dz, weights.data());
      run.run();

      const Array rows({Small::kRows, Small::kFeatures}, input);
      const Array seed({Small::kRows, s.head.units()}, weights);
      std::vector<Array> gradients;
      const Array expected = reference_head(s, rows, false, &seed, &gradients);
      const auto result = [&](Value v) { return floats(run->tensor(v)); };
      CHECK(within(norm_relative(result(z), expected.data), 2e-6));
      const Array other = reference_head(s, rows, true, nullptr, nullptr);
      CHECK(within(norm_relative(result(moved), other.data), 2e-6));
      CHECK(norm_relative(result(moved), expected.data) > 0.1);
      REQUIRE(gradients.size() == s.p.table().size());
      for (std::size_t i = 0; i < gradients.size(); ++i) {
        CAPTURE(s.p.table()[i].name);
        if (s.p.table()[i].frozen) continue;
        // A bias in front of batch norm has none but for rounding.
        CHECK(within(norm_relative(floats(s.p.gradient(static_cast<int>(i))),
                                   gradients[i].data, 1.0),
                     4e-6));
      }
    }
  }

  TEST_CASE("the target leaves running statistics alone, and needs training") {
    Small s(forms()[4].spec);
    const auto start = s.buffers();
    const auto run = [&](ForwardMode mode) {
      Graph g(s.p);
      const Value x = g.input("x", {Small::kRows, Small::kFeatures},
                              DType::kF32);
      g.keep(s.head.forward(g, x, mode));
      BoundExecutable executable(std::move(g), s.p);
      const std::vector<float> input(Small::kRows * Small::kFeatures, 0.5f);
      executable.set_input(x, input.data());
      executable.run();
    };
    run({.target = true});
    CHECK(s.buffers() == start);
    run({.target = false});
    CHECK(s.buffers() != start);
    CHECK_THROWS_WITH_AS(run({.training = false, .target = true}),
                         "[norm] a target network in evaluation: expected "
                         "training, it has no running statistics", Error);
  }
}

}  // namespace
