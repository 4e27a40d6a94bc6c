#pragma once
// Steps of an optimiser on either device, and the goldens of LARS and SGD.

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/core/buffer.h"
#include "engine/optim/optimizer.h"
#include "tests/support/golden.h"
#include "tests/support/graph_run.h"
#include "tests/support/margin.h"

namespace music::test {

// An optimiser with an UpdateState where its parameters are.
class OptimizerRun {
 public:
  OptimizerRun(Parameters& parameters, const OptimizerSpec& spec,
               const LossScaleSpec& scale = {})
      : device_(parameters.device()),
        optimizer_(make_optimizer(parameters, spec, scale)),
        state_(sizeof(UpdateState), memory_of(device_)),
        loss_(sizeof(float), memory_of(device_)) {
    set({});
  }
  UpdateState state() const {
    UpdateState state;
    download(&state, state_.data(), sizeof state, device_);
    return state;
  }
  void set(const UpdateState& state) {
    upload(state_.data(), &state, sizeof state, device_);
  }
  // One step at this rate; returns the state after it.
  UpdateState step(double rate, std::optional<float> loss = {}) {
    UpdateState before = state();
    before.knobs.set_rate(static_cast<float>(rate));
    set(before);
    if (loss) upload(loss_.data(), &*loss, sizeof *loss, device_);
    queue(nullptr, loss ? loss_.as<float>() : nullptr);
    return state();
  }
  void queue(void* stream, const float* loss = nullptr) {
    optimizer_->step(state_.as<UpdateState>(), loss, stream);
  }

 private:
  Device device_;
  std::unique_ptr<Optimizer> optimizer_;
  Buffer state_, loss_;
};

// Layout plays no part in an update: shapes are those of make_goldens.py.
struct GoldenParameters : Parameters {
  static constexpr const char* kNames[] = {"matrix", "kernel", "vector",
                                           "zero"};
  explicit GoldenParameters(const ParameterStorage& where) {
    add("matrix", {6, 10}, {});
    add("kernel", {4, 3, 3, 3}, {});
    add("vector", {7}, {});
    add("zero", {3, 4}, {});
    set_storage(where);
    allocate();
    initialise(0);
    for (int i = 0; i < 3; ++i) set(value(i), kNames[i], 2);
  }
  void set(Tensor t, const std::string& name, double scale) {
    const auto v = hashed("optimizer/" + name, t.elements(), scale);
    upload(t.data, v.data(), t.bytes(), device());
  }
};

inline OptimizerSpec golden_spec(const std::vector<double>& o) {
  OptimizerSpec spec;
  spec.kind = o[0] == 0 ? OptimizerKind::kLars : OptimizerKind::kSgd;
  spec.momentum = o[1], spec.weight_decay = o[2], spec.eta = o[3];
  spec.lr_1d = o[4], spec.decay_1d = o[5] != 0, spec.nesterov = o[6] != 0;
  return spec;
}

// Ten steps of each golden on storage; gradients come multiplied by loss_scale.
inline void check_optimizer_goldens(const ParameterStorage& where,
                                    double loss_scale = 1) {
  const Golden golden("optimizer");
  for (const std::string name :
       {"lars", "lars_decay", "sgd", "sgd_decay", "sgd_nesterov"}) {
    CAPTURE(name);
    GoldenParameters p(where);
    OptimizerRun run(p, golden_spec(golden.get(name + "/options")));
    run.set({.loss_scale = static_cast<float>(loss_scale)});
    const auto rates = golden.get(name + "/rates");
    REQUIRE(rates.size() == 10);
    for (std::size_t step = 0; step < rates.size(); ++step) {
      for (int i = 0; i < 4; ++i)
        p.set(p.gradient(i),
              std::string(GoldenParameters::kNames[i]) + "/grad" +
                  std::to_string(step),
              0.125 * loss_scale);
      CHECK(run.step(rates[step]).applied == 1);
      for (int i = 0; i < 4; ++i) {
        const std::string tensor = GoldenParameters::kNames[i];
        CAPTURE(tensor);
        const auto all = golden.get(name + "/" + tensor);
        const auto values = floats(p.value(i), p.device());
        const auto from =
            all.begin() + static_cast<std::ptrdiff_t>(step * values.size());
        const std::vector<double> expected(
            from, from + static_cast<std::ptrdiff_t>(values.size()));
        CHECK(within(max_relative(values, expected), 2e-6));
      }
    }
  }
}

}  // namespace music::test
