// Five steps of every method against PyTorch in float64
// (tools/make_method_goldens.py): loss, gradients of the first, and at the end
// weights, target network and buffers.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "tests/support/golden.h"
#include "tests/support/margin.h"
#include "tests/support/method_cases.h"
#include "tests/support/network.h"

namespace {

using namespace music;
using namespace music::test;

constexpr int kSteps = 5;
constexpr std::size_t kPicked = 32;

using Tensors = std::map<std::string, std::vector<float>>;  // PyTorch's layout

std::vector<std::uint8_t> hashed_pixels(std::int64_t seed, int step,
                                        std::int64_t images) {
  const std::string name = fmt::format("pixels{}/{}", seed, step);
  std::vector<std::uint8_t> x;
  for (std::uint64_t i = 0, at = 0; i < static_cast<std::uint64_t>(images); ++i) {
    const std::uint32_t low = hash32(name + "/low", i) % 120;
    const std::uint32_t span = 8 + hash32(name + "/span", i) % 128;
    for (int j = 0; j < kSize * kSize * 3; ++j, ++at)
      x.push_back(static_cast<std::uint8_t>(low + hash32(name, at) % span));
  }
  return x;
}

std::vector<int> hashed_labels(std::int64_t seed, int step) {
  std::vector<int> labels;
  for (std::uint64_t i = 0; i < kMethodBatch; ++i)
    labels.push_back(static_cast<int>(
        hash32(fmt::format("labels{}/{}", seed, step), i) % kMethodClasses));
  return labels;
}

template <typename Get>
Tensors tensors(std::span<const ParameterInfo> table, Get get) {
  Tensors all;
  for (int i = 0; i < static_cast<int>(table.size()); ++i)
    all[table[static_cast<std::size_t>(i)].name] = in_torch_layout(get(i));
  return all;
}

Tensors difference(const Tensors& a, const Tensors& b) {
  Tensors d = a;
  for (auto& [name, v] : d)
    for (std::size_t j = 0; j < v.size(); ++j) v[j] -= b.at(name)[j];
  return d;
}

// The worst error of a tensor: of its norm, and of the elements that are kept,
// relative to the norm that they would have on average.
void check(const Golden& golden, const std::string& name,
           const Tensors& actual) {
  const auto norms = golden.get(name + "_norm"), expected = golden.get(name);
  REQUIRE(actual.size() == norms.size());
  double worst = 0;
  std::string where;
  std::size_t at = 0, t = 0;
  for (const auto& [tensor, v] : actual) {
    const std::size_t kept = std::min(v.size(), kPicked);
    REQUIRE(at + kept <= expected.size());
    double square = 0;
    for (std::size_t j = 0; j < kept; ++j) {
      const std::size_t k = v.size() <= kPicked
                                ? j
                                : hash32("samples/" + tensor, j) % v.size();
      const double e = static_cast<double>(v[k]) - expected[at + j];
      square += e * e;
    }
    at += kept;
    // A bias in front of a batch norm has no gradient but rounding. Changes are
    // of values that rounding alone moves by 6e-8.
    double size = norms[t] < 1e-6 ? 0.1 : norms[t];
    if (name.ends_with("change"))
      size = std::max(size, 1e-3 * std::sqrt(static_cast<double>(v.size())));
    const double share =
        static_cast<double>(v.size()) / static_cast<double>(kept);
    const double error = std::max(std::sqrt(square * share),
                                  std::abs(norm(v) - norms[t])) / size;
    if (!(error <= worst)) worst = error, where = tensor;
    ++t;
  }
  CHECK(at == expected.size());
  CAPTURE(where);
  CHECK(within(worst, name.ends_with("change") ? 3e-4 : 1e-4, name));
}

void check_case(const MethodCase& c) {
  const Golden golden("methods");
  const std::int64_t seed = golden.integers(c.name + "/seed")[0];
  const auto losses = golden.get(c.name + "/loss");
  Model model(c.spec, true);
  Parameters& p = model.parameters();
  hash_method(p);
  TrainingStep step(model, method_step(c), {kMethodBatch}, {});
  const auto values = [&] {
    return tensors(p.table(), [&](int i) { return p.value(i); });
  };
  const auto targets = [&] {
    return tensors(p.table(), [&](int i) { return p.target(i); });
  };
  const Tensors start = values();
  const Tensors target = p.has_target() ? targets() : Tensors{};
  const std::int64_t images = needs_of(c.spec.method).views * kMethodBatch;
  const bool labels = needs_of(c.spec.method).labels;
  for (int k = 0; k < kSteps; ++k) {
    const auto x = hashed_pixels(seed, k, images);
    const auto y = hashed_labels(seed, k);
    const Position at = method_position(c, k);
    step.stage(x.data(), kMethodBatch, labels ? y.data() : nullptr);
    step.submit(model.method().knobs(at, method_rate(c, k)),
                model.method().phase(at));
    if (k == 0) {
      Tensors gradients = tensors(p.table(), [&](int i) { return p.gradient(i); });
      for (const ParameterInfo& info : p.table())
        if (info.frozen) gradients.erase(info.name);
      check(golden, c.name + "/grad", gradients);
    }
    const StepOutcome outcome = step.finish();
    CHECK(outcome.applied);
    CAPTURE(k);
    CHECK(near(outcome.total, losses[static_cast<std::size_t>(k)], 1e-5));
  }
  check(golden, c.name + "/change", difference(values(), start));
  if (p.has_target())
    check(golden, c.name + "/target_change", difference(targets(), target));
  check(golden, c.name + "/buffers",
        tensors(p.buffers(), [&](int i) { return p.buffer(i); }));
}

TEST_SUITE("methods_golden") {
  TEST_CASE("five steps of every method follow PyTorch") {
    std::set<std::string> methods = {Music::kName};  // music/train/parity_test
    for (const MethodCase& c : method_cases()) {
      methods.insert(c.spec.method.name);
      SUBCASE(c.name.c_str()) { check_case(c); }
    }
    for (const std::string& name : method_names())
      CHECK(methods.contains(name));
  }

  // Of 4096 images of ImageNet a step, 100 and 1000 epochs.
  TEST_CASE("byol's target momentum is that of its code") {
    const auto at = [](double first, std::int64_t step, std::int64_t total) {
      Parameters parameters;
      const Byol byol(parameters, {.target_momentum = first},
                      {.features = 4, .projector = {4}});
      return static_cast<double>(
          byol.knobs({.step = step, .total_steps = total}, 1).target_momentum);
    };
    CHECK(near(at(0.99, 1000, 31278), 0.9900251998, 2e-7));
    CHECK(near(at(0.99, 15639, 31278), 0.995, 2e-7));
    CHECK(near(at(0.996, 1000, 312784), 0.9960001009, 2e-7));
    CHECK(at(0.99, 31278, 31278) == 1);
  }
}

}  // namespace
