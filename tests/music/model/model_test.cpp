#include "music/loss/joint_entropy.h"
#include "music/model/model.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "engine/core/rng.h"
#include "engine/graph/autograd.h"
#include "tests/support/compare.h"
#include "tests/support/graph_run.h"
#include "tests/support/margin.h"
#include "tests/support/small_step.h"

namespace {

using namespace music;
using namespace music::test;

const ModelSpec kSpec = small_model({24, 16});

TrainingStepSpec step_spec() { return small_step(); }

std::vector<std::uint8_t> pixels(std::int64_t images, std::uint32_t stream) {
  Rng rng(1, RngPurpose::kTest, stream);
  std::vector<std::uint8_t> x(
      static_cast<std::size_t>(images * kSize * kSize * 3));
  for (auto& v : x) v = static_cast<std::uint8_t>(rng.below(256));
  return x;
}

std::vector<float> weights(const Model& model) {
  const Parameters& p = model.parameters();
  std::vector<float> all(p.flat_values(), p.flat_values() + p.flat_elements());
  all.insert(all.end(), p.flat_momentum(),
             p.flat_momentum() + p.flat_elements());
  return all;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

struct Trained {
  Model model{kSpec, true};
  TrainingStep step;
  explicit Trained(ExecutableOptions options = {})
      : step(model, step_spec(), {8, 5}, options) {
    model.parameters().initialise(1);
  }
};

TEST_SUITE("model") {
  TEST_CASE("parameters lie under backbone and projector") {
    const Model model(kSpec, false);
    const auto table = model.parameters().table();
    CHECK(table.front().name == "backbone.conv1.weight");
    CHECK(table.back().name == "projector.3.weight");
    for (const auto& p : table)
      CHECK((p.name.starts_with("backbone.") ||
             p.name.starts_with("projector.")));
  }

  TEST_CASE("the step from pixels is the step from normalised images") {
    Trained a;
    const auto x = pixels(16, 0);
    const auto outcome = a.step.forward_backward(x.data(), 8);

    // The same by hand, from floats.
    Parameters p;
    const ResNet encoder(p, "backbone", kSpec.encoder);
    const Projector projector(p, "projector", 32, kSpec.projector);
    p.allocate(true);
    p.initialise(1);
    Graph g(p);
    const Value images = g.input("x", {16, kSize, kSize, 3}, DType::kF32);
    const ForwardMode mode{.training = true, .groups = 2};
    const auto loss = joint_entropy(
        g, projector.forward(g, encoder.forward(g, images, mode), mode),
        Segments::equal(16, 4), {});
    backward(g, loss.total, g.constant({1}, 1));
    BoundExecutable run(std::move(g), p);
    const auto stats = step_spec().pixels;
    std::vector<float> normalised;
    for (std::size_t i = 0; i < x.size(); ++i)
      normalised.push_back(static_cast<float>(
          (x[i] / 255.0 - stats.mean[i % 3]) / stats.std[i % 3]));
    run->set_input(images, normalised.data());
    run->run();
    const auto terms = run->tensor(loss.terms).span<double>();
    const JointEntropyTerms got = Music::terms(outcome.readings);
    CHECK(near(got.de, terms[0], 1e-6));
    CHECK(near(got.oe, terms[1], 1e-6));
    CHECK(near(got.ti, terms[2], 1e-6));
    CHECK(near(got.total, terms[3], 1e-6));
    CHECK(outcome.total == static_cast<double>(static_cast<float>(got.total)));
    const auto n = static_cast<std::size_t>(p.flat_elements());
    CHECK(within(
        norm_relative(std::span(a.model.parameters().flat_gradients(), n),
                      std::span(p.flat_gradients(), n)),
        1e-4));
    const Tensor& mean_q = outcome.readings.at("mean_q");
    REQUIRE(mean_q.shape == Shape{2, 16});
    // Codes are distributions: each of the four segments sums to one.
    double sum = 0;
    for (const float q : mean_q.span<float>()) sum += q;
    CHECK(near(sum, 8, 1e-5));
  }

  TEST_CASE("run is forward, backward and update") {
    Trained a, b;
    const auto optimizer =
        make_optimizer(b.model.parameters(), step_spec().optimizer);
    for (std::uint32_t i = 0; i < 3; ++i) {
      const auto x = pixels(16, i);
      CHECK(a.step.run(x.data(), 8, 0.1).applied);
      b.step.forward_backward(x.data(), 8);
      optimizer->step(0.1);
    }
    CHECK(same_bits(weights(a.model), weights(b.model)));
    CHECK_FALSE(same_bits(weights(a.model), weights(Trained().model)));
  }

  TEST_CASE("a short batch between full ones leaves nothing behind") {
    Trained a, b;
    const auto full = pixels(16, 0), brief = pixels(10, 1);
    a.step.forward_backward(full.data(), 8);
    a.step.forward_backward(brief.data(), 5);
    a.step.forward_backward(full.data(), 8);
    b.step.forward_backward(full.data(), 8);
    const auto gradients = [](const Trained& t) {
      const Parameters& p = t.model.parameters();
      return std::vector<float>(p.flat_gradients(),
                                p.flat_gradients() + p.flat_elements());
    };
    CHECK(same_bits(gradients(a), gradients(b)));
    CHECK_THROWS_WITH_AS(a.step.forward_backward(full.data(), 7),
                         "[step] batch of 7 samples not prepared", Error);
  }

  TEST_CASE("planner re-use changes no bit and saves memory") {
    Trained on, off({.reuse_memory = false});
    for (std::uint32_t i = 0; i < 3; ++i) {
      const auto x = pixels(16, i);
      on.step.run(x.data(), 8, 0.1);
      off.step.run(x.data(), 8, 0.1);
    }
    CHECK(same_bits(weights(on.model), weights(off.model)));
    CHECK(static_cast<double>(on.step.memory().arena) <
          0.75 * static_cast<double>(off.step.memory().arena));
  }

  TEST_CASE("a step that is not finite leaves weights and momentum alone") {
    Trained t;
    Parameters& p = t.model.parameters();
    const auto x = pixels(16, 0);
    t.step.run(x.data(), 8, 0.1);
    p.value(0).f32()[3] = std::numeric_limits<float>::infinity();
    const auto before = weights(t.model);
    CHECK_FALSE(t.step.run(x.data(), 8, 0.1).applied);
    CHECK(same_bits(weights(t.model), before));
    Trained traced({.check_finite = true});
    traced.model.parameters().value(0).f32()[3] =
        std::numeric_limits<float>::infinity();
    std::string message;
    try {
      traced.step.run(x.data(), 8, 0.1);
    } catch (const Error& e) {
      message = e.what();
    }
    CHECK(message.find("(conv2d in backbone.conv1)") != std::string::npos);
  }

  // Of which everything before the fault is finite again, too.
  TEST_CASE("a step that is not finite leaves running statistics alone") {
    for (const std::int64_t micro : {0, 3}) {
      TrainingStepSpec spec = step_spec();
      spec.micro_batch = micro;
      Model model(kSpec, true);
      TrainingStep step(model, spec, {8}, {});
      model.parameters().initialise(1);
      Parameters& p = model.parameters();
      const auto buffers = [&] {
        std::vector<float> all;
        for (std::size_t i = 0; i < p.buffers().size(); ++i) {
          const auto v = p.buffer(static_cast<int>(i)).span<float>();
          all.insert(all.end(), v.begin(), v.end());
        }
        return all;
      };
      const auto x = pixels(16, 0);
      const auto initial = buffers();
      CHECK(step.run(x.data(), 8, 0.1).applied);
      const auto before = buffers();
      CHECK_FALSE(same_bits(initial, before));
      float& weight = p.value(0).f32()[3];
      const float healthy = weight;
      for (const float bad : {std::numeric_limits<float>::infinity(),
                              std::numeric_limits<float>::quiet_NaN()}) {
        weight = bad;
        CHECK_FALSE(step.run(x.data(), 8, 0.1).applied);
        CHECK(same_bits(buffers(), before));
      }
      weight = healthy;
      CHECK(step.run(x.data(), 8, 0.1).applied);
      CHECK_FALSE(same_bits(buffers(), before));
    }
  }

  TEST_CASE("features: evaluation mode, one image at a time or all at once") {
    Model model(kSpec, false);
    Parameters& p = model.parameters();
    p.initialise(1);
    for (std::size_t i = 0; i < p.buffers().size(); ++i) {
      Rng rng(2, RngPurpose::kTest, static_cast<std::uint32_t>(i));
      for (float& v : p.buffer(static_cast<int>(i)).span<float>())
        v = rng.uniform(0.5f, 1.5f);
    }
    const auto buffers = [&] {
      std::vector<float> all;
      for (std::size_t i = 0; i < p.buffers().size(); ++i)
        for (float v : p.buffer(static_cast<int>(i)).span<float>())
          all.push_back(v);
      return all;
    };
    const auto before = buffers();
    const auto x = pixels(3, 0);
    const auto features = [&](std::int64_t first, std::int64_t count) {
      FeatureGraph f = model.feature_graph(count, kSize, step_spec().pixels);
      BoundExecutable run(std::move(f.graph), p);
      run->set_input(f.pixels, x.data() + first * kSize * kSize * 3);
      run->run();
      return floats(run->tensor(f.features));
    };
    const auto all = features(0, 3);
    std::vector<float> single;
    for (int i = 0; i < 3; ++i)
      for (float v : features(i, 1)) single.push_back(v);
    CHECK(all.size() == 3 * 32);
    CHECK(within(norm_relative(single, all), 1e-6));
    CHECK(std::all_of(all.begin(), all.end(), [](float v) { return v >= 0; }));
    CHECK(same_bits(buffers(), before));
  }

  TEST_CASE("an encoder on its own does not train") {
    const Model model(ModelSpec{kSpec.encoder}, true);
    CHECK_THROWS_WITH_AS(
        model.step_graph(8, step_spec()),
        "[model] training needs a method, this has an encoder only", Error);
  }
}

}  // namespace
