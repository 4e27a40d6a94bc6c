#pragma once
// Groups of parameters with rates of their own and a target network, on either
// device, against the double reference.

#include <cstring>
#include <limits>
#include <vector>

#include "engine/core/half.h"
#include "engine/core/rng.h"
#include "tests/support/optim.h"
#include "tests/support/reference_optim.h"

namespace music::test {

// Tensors of one block and of several, in groups 0, 1, 2, 0 and 1, with a
// target; "d" is frozen, and no weight decay falls on "e".
struct GroupedModel : Parameters {
  static constexpr int kExempt = 4;
  static constexpr int kCount = 5, kFrozen = 3;

  explicit GroupedModel(const ParameterStorage& where) {
    add("a", {40, 50}, Init::uniform(1));
    set_group(add("b", {20001}, Init::uniform(1)), 1);
    set_group(add("c", {3, 5}, Init::uniform(1)), 2);
    freeze(add("d", {6, 10}, Init::uniform(1)));
    set_group(add("e", {64, 65}, Init::uniform(1)), 1);
    exempt_from_decay(kExempt);
    with_target();
    set_storage(where);
    allocate();
    initialise(1);
  }
  // Draws gradients, times scale.
  void draw_gradients(std::uint64_t step, float scale) {
    Rng rng(step, RngPurpose::kTest);
    std::vector<float> g(static_cast<std::size_t>(flat_elements()));
    for (float& v : g) v = scale * rng.uniform(-1, 1);
    upload(flat_gradients(), g.data(), g.size() * sizeof(float), device());
  }
  std::vector<float> read(const Tensor& t) const { return floats(t, device()); }
  // Of all three blocks.
  std::vector<float> state() const {
    std::vector<float> all;
    for (int i = 0; i < kCount; ++i)
      for (const Tensor& t : {value(i), momentum(i), target(i)})
        for (const float v : read(t)) all.push_back(v);
    return all;
  }
  // The target is rounded to what kernels read.
  bool rounded_target_follows() const {
    const DType dtype = storage().compute;
    if (dtype == DType::kF32) return true;
    for (int i = 0; i < kCount; ++i) {
      const Tensor t = compute_target(i);
      std::vector<std::uint16_t> copy(static_cast<std::size_t>(t.elements())),
          rounded;
      download(copy.data(), t.data, t.bytes(), device());
      for (const float v : read(target(i)))
        rounded.push_back(dtype == DType::kF16 ? to_half(v).bits
                                               : to_bfloat16(v).bits);
      if (copy != rounded) return false;
    }
    return true;
  }
};

// Five steps: group 1 stands still in the first two, and in the fourth once it
// has moved; group 2 has its own rate and weight decay.
inline void check_groups_and_target(const ParameterStorage& where,
                                    float loss_scale = 1) {
  using reference::Array;
  struct Step { float rates[3], tau; };
  const Step steps[] = {{{0, 0, 0.25f}, 0.5f},
                        {{0.5f, 0, 0.25f}, 0.9f},
                        {{0.5f, 0.125f, 0.25f}, 0.996f},
                        {{0.5f, 0, 0.25f}, 0.5f},
                        {{0.25f, 0.5f, 0.25f}, 0}};
  for (const auto kind : {OptimizerKind::kLars, OptimizerKind::kSgd}) {
    OptimizerSpec spec;
    spec.kind = kind, spec.weight_decay = 0.1, spec.eta = 0.02;
    spec.decay_1d = true;
    GroupedModel model(where);
    OptimizerRun run(model, spec);
    struct Reference { Array value, momentum, target; };
    std::vector<Reference> all;
    for (int i = 0; i < GroupedModel::kCount; ++i) {
      const auto shape = model.table()[static_cast<std::size_t>(i)].shape.dims();
      const Array value({shape.begin(), shape.end()}, model.read(model.value(i)));
      all.push_back({value, Array(value.shape), value});
      CHECK(model.read(model.target(i)) == model.read(model.value(i)));
    }
    CHECK(model.rounded_target_follows());
    for (std::size_t s = 0; s < std::size(steps); ++s) {
      CAPTURE(s);
      model.draw_gradients(s, loss_scale);
      UpdateState state{.knobs = {.target_momentum = steps[s].tau},
                        .loss_scale = loss_scale};
      std::copy_n(steps[s].rates, 3, state.knobs.rates);
      state.knobs.decays[2] = {true, 0.5f};
      run.set(state);
      run.queue(nullptr);
      CHECK(run.state().applied == 1);
      for (int i = 0; i < GroupedModel::kCount; ++i) {
        CAPTURE(i);
        const ParameterInfo& info = model.table()[static_cast<std::size_t>(i)];
        Reference& r = all[static_cast<std::size_t>(i)];
        const float rate = state.knobs.rates[info.group];
        Array gradient(r.value.shape, model.read(model.gradient(i)));
        for (double& g : gradient.data) g /= loss_scale;
        const bool still = info.frozen || (info.group > 0 && rate == 0);
        OptimizerSpec its = spec;
        if (info.group == 2) its.weight_decay = 0.5;
        if (i == GroupedModel::kExempt) its.weight_decay = 0;
        if (!still)
          reference::optimizer_step(its, rate, gradient, r.value, r.momentum);
        reference::follow(state.knobs.target_momentum, r.value, r.target);
        const auto near_to = [&](const Tensor& t, const Array& expected) {
          return within(norm_relative(model.read(t), expected.data), 4e-7);
        };
        CHECK(near_to(model.value(i), r.value));
        CHECK(near_to(model.momentum(i), r.momentum));
        CHECK(near_to(model.target(i), r.target));
        // To the bit.
        if (i == GroupedModel::kFrozen || (still && s < 2)) {
          CHECK(model.read(model.target(i)) == model.read(model.value(i)));
          CHECK(norm(model.read(model.momentum(i))) == 0);
        }
      }
      CHECK(model.rounded_target_follows());
    }
    // Nothing moves, whatever is not finite: a gradient of a group that stands
    // still, or the loss.
    const auto before = model.state();
    const float bad = std::numeric_limits<float>::infinity();
    UpdateState state{.knobs = {.target_momentum = 0.5f}, .loss_scale = loss_scale};
    state.knobs.rates[0] = 1;
    run.set(state);
    upload(model.gradient(1).data, &bad, sizeof bad, model.device());
    run.queue(nullptr);
    CHECK(run.state().applied == 0);
    CHECK(model.state() == before);
    CHECK(model.rounded_target_follows());
    model.draw_gradients(9, loss_scale);
    run.queue(nullptr);
    CHECK(run.state().applied == 1);
    CHECK(model.state() != before);
    HostParameters host(model);
    host->target(0).f32()[1] = 7;
    host.write_back();
    CHECK(model.read(model.target(0))[1] == 7);
    CHECK(model.rounded_target_follows());
  }
}

}  // namespace music::test
