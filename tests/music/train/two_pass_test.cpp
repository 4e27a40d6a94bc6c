// Steps in two passes against steps in one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "engine/core/rng.h"
#include "engine/graph/autograd.h"
#include "engine/ops/image_normalize.h"
#include "engine/ops/rows.h"
#include "engine/ops/stop_gradient.h"
#include "music/model/micro_batches.h"
#include "music/train/training_step.h"
#include "tests/support/compare.h"
#include "tests/support/graph_run.h"
#include "tests/support/margin.h"
#include "tests/support/small_step.h"

namespace {

using namespace music;
using namespace music::test;

constexpr std::size_t kImage = kSize * kSize * 3;
const char* const kMethods[] = {"music",   "vicreg", "barlow_twins", "simclr",
                                "simsiam", "byol",   "moco_v2",      "swav"};

ModelSpec spec_of(const std::string& method, std::int64_t samples) {
  ModelSpec spec = small_model({24, 16});
  spec.method.name = method;
  spec.samples = samples;
  spec.method.of<Swav>().prototypes = 9;
  spec.method.of<MocoV2>().queue = 4 * samples;
  spec.method.of<MocoV2>().group = 0;
  spec.method.of<Byol>().predictor = 20;
  spec.method.of<SimSiam>().predictor = 8;
  return spec;
}

TrainingStepSpec step_of(std::int64_t micro) {
  TrainingStepSpec spec = small_step();
  spec.micro_batch = micro;
  return spec;
}

using Pixels = std::vector<std::uint8_t>;

// Both views of samples that differ in colour and contrast; the first `period`
// of them again and again.
Pixels pixels(std::int64_t samples, std::int64_t period, std::uint32_t key) {
  Rng rng(1, RngPurpose::kTest, key);
  Pixels x;
  for (int view = 0; view < 2; ++view) {
    Pixels once;
    for (std::int64_t i = 0; i < period; ++i) {
      const std::uint32_t low = rng.below(120), range = 8 + rng.below(128);
      for (std::size_t j = 0; j < kImage; ++j)
        once.push_back(static_cast<std::uint8_t>(low + rng.below(range)));
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(samples) * kImage; ++i)
      x.push_back(once[i % once.size()]);
  }
  return x;
}

struct Trained {
  Model model;
  TrainingStep step;

  Trained(const ModelSpec& spec, std::int64_t micro,
          std::vector<std::int64_t> sizes)
      : model(spec, true), step(model, step_of(micro), sizes, {}) {
    model.parameters().initialise(1);
  }
  std::vector<float> gradients() const {
    const Parameters& p = model.parameters();
    return {p.flat_gradients(), p.flat_gradients() + p.flat_elements()};
  }
  // Everything that a step changes.
  std::vector<float> state() const {
    const Parameters& p = model.parameters();
    std::vector<float> all(p.flat_values(), p.flat_values() + p.flat_elements());
    all.insert(all.end(), p.flat_momentum(),
               p.flat_momentum() + p.flat_elements());
    if (p.has_target())
      all.insert(all.end(), p.flat_target(), p.flat_target() + p.flat_elements());
    for (std::size_t i = 0; i < p.buffers().size(); ++i) {
      const auto v = p.buffer(static_cast<int>(i)).span<float>();
      all.insert(all.end(), v.begin(), v.end());
    }
    return all;
  }
  void give_state_to(Trained& other) {
    Parameters &from = model.parameters(), &to = other.model.parameters();
    for (int i = 0; i < static_cast<int>(from.table().size()); ++i) {
      const auto copy = [](Tensor a, Tensor b) {
        std::memcpy(b.data, a.data, a.bytes());
      };
      copy(from.value(i), to.value(i));
      copy(from.momentum(i), to.momentum(i));
      if (from.has_target()) copy(from.target(i), to.target(i));
    }
    for (int i = 0; i < static_cast<int>(from.buffers().size()); ++i)
      std::memcpy(to.buffer(i).data, from.buffer(i).data, from.buffer(i).bytes());
    other.step.set_update_state(step.update_state());
  }
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// The step recorded by hand: each part embedded on its own, in one graph.
struct ByHand {
  Parameters parameters;
  ResNet encoder;
  std::unique_ptr<Method> method;

  explicit ByHand(const ModelSpec& spec)
      : encoder(parameters, Model::kEncoder, spec.encoder),
        method(make_method(parameters, spec.method,
                           {.features = spec.encoder.features(),
                            .projector = spec.projector,
                            .samples = spec.samples,
                            .classes = spec.classes})) {
    parameters.allocate(true);
    parameters.initialise(1);
  }

  // The loss; gradients stay in the parameters' block.
  double run(const Pixels& x, const std::vector<std::int64_t>& parts,
             bool drop_last = false) {
    std::int64_t n = 0;
    for (const std::int64_t part : parts) n += part;
    Graph g(parameters);
    std::vector<Value> inputs;
    std::vector<Pixels> data;
    std::vector<std::vector<Value>> embedded;
    std::int64_t first = 0;
    for (const std::int64_t part : parts) {
      inputs.push_back(
          g.input("pixels", {2 * part, kSize, kSize, 3}, DType::kU8));
      Pixels& mine = data.emplace_back();
      for (const std::int64_t view : {std::int64_t{0}, n}) {
        const auto at = x.begin() + (view + first) * std::int64_t{kImage};
        mine.insert(mine.end(), at, at + part * std::int64_t{kImage});
      }
      const auto stats = small_step().pixels;
      const Value images = image_normalize(
          g, inputs.back(), {stats.mean, stats.std, 3, DType::kF32});
      embedded.push_back(method->embed(g, encoder, {images, {}, {nullptr, part}},
                                       {.training = true, .groups = 2}));
      if (drop_last && first + part == n)
        for (Value& v : embedded.back()) v = stop_gradient(g, v);
      first += part;
    }
    std::vector<Value> whole;
    for (std::size_t e = 0; e < embedded[0].size(); ++e) {
      std::vector<Value> views;
      const std::int64_t count = g.shape(embedded[0][e])[0] / parts[0];
      for (std::int64_t v = 0; v < count; ++v)
        for (std::size_t k = 0; k < parts.size(); ++k)
          views.push_back(
              slice_rows(g, embedded[k][e], v * parts[k], parts[k]));
      whole.push_back(concat_rows(g, views));
    }
    const Inputs batch{{}, {}, {nullptr, n}};
    const Objective o = method->objective(g, whole, batch);
    backward(g, o.loss, g.constant({1}, 1));
    method->finish(g, whole, batch);
    g.keep(o.total);
    BoundExecutable run(std::move(g), parameters);
    for (std::size_t k = 0; k < parts.size(); ++k)
      run->set_input(inputs[k], data[k].data());
    run->run();
    return static_cast<double>(*run->tensor(o.total).f32());
  }
  std::span<const float> gradients() const {
    return {parameters.flat_gradients(),
            static_cast<std::size_t>(parameters.flat_elements())};
  }
};

void check_buffers(const Parameters& a, const Parameters& b) {
  for (std::size_t i = 0; i < a.buffers().size(); ++i) {
    CAPTURE(a.buffers()[i].name);
    CHECK(within(norm_relative(floats(a.buffer(static_cast<int>(i))),
                               floats(b.buffer(static_cast<int>(i)))),
                 1e-6));
  }
}

TEST_SUITE("two_pass") {
  TEST_CASE("parts of a batch are consecutive and none is too small") {
    const auto sizes = [](std::int64_t n, std::int64_t micro, int rank = 0,
                          int world = 1) {
      std::vector<std::int64_t> all;
      std::int64_t first = 0;
      for (const MicroBatch& m : micro_batches(n, micro, rank, world)) {
        CHECK(m.first == first);
        first += m.here;
        all.push_back(m.shape.samples);
      }
      return all;
    };
    using Sizes = std::vector<std::int64_t>;
    CHECK(sizes(8, 0) == Sizes{8});
    CHECK(sizes(8, 8) == Sizes{8});
    CHECK(sizes(8, 100) == Sizes{8});
    CHECK(sizes(8, 4) == Sizes{4, 4});
    CHECK(sizes(8, 3) == Sizes{3, 3, 2});
    CHECK(sizes(7, 3) == Sizes{3, 4});
    CHECK(sizes(1, 3) == Sizes{1});
  }

  TEST_CASE("parts are the same samples for any number of processes") {
    for (const std::int64_t n : {1, 2, 7, 8, 11, 24})
      for (const std::int64_t micro : {0, 1, 2, 3, 4, 7, 8})
        for (int world = 1; world <= 6; ++world) {
          CAPTURE(n);
          CAPTURE(micro);
          CAPTURE(world);
          const auto alone = micro_batches(n, micro);
          for (int rank = 0; rank < world; ++rank) {
            const auto parts = micro_batches(n, micro, rank, world);
            REQUIRE(parts.size() == alone.size());
            std::int64_t begin = 0, mine = 0;
            for (std::size_t i = 0; i < parts.size(); ++i) {
              const PartShape& shape = parts[i].shape;
              CHECK(shape.samples == alone[i].shape.samples);
              CHECK(shape.first_rank == begin % world);
              CHECK(parts[i].first == mine);
              for (std::int64_t s = begin; s < begin + shape.samples; ++s)
                mine += s % world == rank;
              begin += shape.samples;
              CHECK(parts[i].first + parts[i].here == mine);
            }
          }
        }
  }

  // Samples that come again have the statistics of the batch in each part:
  // batch norm then makes no difference.
  TEST_CASE("parts with the batch's statistics give the gradients of one pass") {
    for (const std::string method : kMethods) {
      CAPTURE(method);
      const ModelSpec spec = spec_of(method, 12);
      const Pixels x = pixels(12, 4, 0);
      Trained one(spec, 0, {12}), two(spec, 4, {12});
      const StepOutcome a = one.step.forward_backward(x.data(), 12);
      const StepOutcome b = two.step.forward_backward(x.data(), 12);
      CHECK(near(b.total, a.total, 1e-5));
      // Batch norm's sums are over other rows: each is off the truth in its own
      // direction.
      CHECK(within(norm_relative(two.gradients(), one.gradients()), 5e-5));
    }
  }

  TEST_CASE("parts with statistics of their own follow a step by hand") {
    for (const std::string method : kMethods)
      for (const std::int64_t n : {12, 11}) {
        CAPTURE(method);
        CAPTURE(n);
        const ModelSpec spec = spec_of(method, 12);
        if (needs_of(spec.method).full_batches && n != 12) continue;
        const Pixels x = pixels(n, n, 1);
        ByHand hand(spec);
        const double loss = hand.run(x, n == 12 ? std::vector<std::int64_t>{5, 5, 2}
                                                : std::vector<std::int64_t>{5, 6});
        Trained two(spec, 5, {12, n});
        const StepOutcome outcome = two.step.forward_backward(x.data(), n);
        CHECK(near(outcome.total, loss, 1e-6));
        CHECK(within(norm_relative(two.gradients(), hand.gradients()), 1e-6));
        check_buffers(two.model.parameters(), hand.parameters);
      }
  }

  TEST_CASE("a batch in parts is not the batch, and not without a part") {
    const ModelSpec spec = spec_of("music", 12);
    const Pixels x = pixels(12, 12, 2);
    Trained one(spec, 0, {12}), two(spec, 4, {12});
    one.step.forward_backward(x.data(), 12);
    two.step.forward_backward(x.data(), 12);
    CHECK(norm_relative(two.gradients(), one.gradients()) > 1e-2);
    // By hand, the last part's rows without a gradient.
    ByHand hand(spec);
    hand.run(x, {4, 4, 4}, true);
    CHECK(norm_relative(two.gradients(), hand.gradients()) > 1e-2);
    hand.run(x, {4, 4, 4});
    CHECK(within(norm_relative(two.gradients(), hand.gradients()), 1e-6));
  }

  TEST_CASE("a micro-batch of the batch or more is the step in one pass") {
    const ModelSpec spec = spec_of("music", 8);
    Trained one(spec, 0, {8, 5}), same(spec, 8, {8, 5}), more(spec, 99, {8, 5});
    for (std::uint32_t i = 0; i < 3; ++i) {
      const std::int64_t n = i == 1 ? 5 : 8;
      const Pixels x = pixels(n, n, i);
      for (Trained* t : {&one, &same, &more})
        CHECK(t->step.run(x.data(), n, 0.1).applied);
    }
    CHECK(same_bits(one.state(), same.state()));
    CHECK(same_bits(one.state(), more.state()));
    CHECK(one.step.memory().rows == 0);
  }

  TEST_CASE("what a step leaves is all that the next one knows") {
    for (const std::string method : {"music", "byol"}) {
      CAPTURE(method);
      const ModelSpec spec = spec_of(method, 8);
      Trained whole(spec, 3, {8}), first(spec, 3, {8}), second(spec, 3, {8});
      const auto run = [](Trained& t, std::uint32_t step) {
        const Pixels x = pixels(8, 8, step);
        CHECK(t.step.run(x.data(), 8, 0.1).applied);
      };
      for (std::uint32_t i = 0; i < 4; ++i) run(whole, i);
      run(first, 0), run(first, 1);
      first.give_state_to(second);
      run(second, 2), run(second, 3);
      CHECK(same_bits(whole.state(), second.state()));
    }
  }

  // Queues and target networks, too.
  TEST_CASE("a step that is not finite changes nothing") {
    for (const std::string method : kMethods)
      for (const std::int64_t micro : {0, 4}) {
        CAPTURE(method);
        const ModelSpec spec = spec_of(method, 8);
        Trained t(spec, micro, {8});
        const Pixels x = pixels(8, 8, 0);
        CHECK(t.step.run(x.data(), 8, 0.1).applied);
        float& weight = t.model.parameters().value(0).f32()[3];
        const float healthy = weight;
        const auto before = t.state();
        weight = std::numeric_limits<float>::quiet_NaN();
        CHECK_FALSE(t.step.run(x.data(), 8, 0.1).applied);
        weight = healthy;
        auto after = t.state();
        // SwAV brings its prototypes to unit length before each step.
        const Parameters& p = t.model.parameters();
        if (method == "swav")
          std::copy_n(before.begin(), p.flat_elements(), after.begin());
        CHECK(same_bits(after, before));
      }
  }

  TEST_CASE("steps leave nothing behind for those after them") {
    for (const std::string method : {"music", "byol", "simclr"}) {
      CAPTURE(method);
      const ModelSpec spec = spec_of(method, 8);
      Trained a(spec, 3, {8, 5}), b(spec, 3, {8, 5});
      const Pixels full = pixels(8, 8, 0), brief = pixels(5, 5, 1);
      a.step.forward_backward(full.data(), 8);
      a.step.forward_backward(brief.data(), 5);
      a.step.forward_backward(full.data(), 8);
      b.step.forward_backward(full.data(), 8);
      CHECK(same_bits(a.gradients(), b.gradients()));
    }
  }
}

}  // namespace
