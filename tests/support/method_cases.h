#pragma once
// The smallest step of every method, as tools/make_method_goldens.py has it: a
// case is a method with its settings on small_step.h's network.

#include <span>
#include <string>
#include <vector>

#include "tests/support/compare.h"
#include "tests/support/golden.h"
#include "tests/support/network.h"
#include "tests/support/small_step.h"

namespace music::test {

struct MethodCase {
  std::string name;    // as in methods.safetensors
  ModelSpec spec;
  bool lars = true;    // else SGD
  double peak = 0.1;   // Position::peak_rate
};

inline constexpr std::int64_t kMethodBatch = 8, kMethodClasses = 7;

template <typename M>
MethodCase method_case(const std::string& variant,
                       std::vector<std::int64_t> projector, bool lars,
                       typename M::Settings settings = {}) {
  ModelSpec spec = small_model(std::move(projector));
  spec.method.name = M::kName;
  spec.method.of<M>() = settings;
  spec.samples = kMethodBatch;
  if (M::kNeeds.labels) spec.classes = kMethodClasses;
  return {M::kName + variant, spec, lars};
}

inline std::vector<MethodCase> method_cases() {
  const MocoV2Settings moco{.target_momentum = 0.9, .queue = 32, .group = 0};
  MocoV2Settings groups = moco, symmetric = moco;
  groups.group = 4;
  symmetric.group = 2, symmetric.symmetric = true;
  const SwavSettings swav{.prototypes = 10, .freeze = 2};
  SwavSettings queue = swav;
  queue.queue = 16, queue.queue_from = 1;
  using Encoder = SupervisedSettings::Encoder;
  const SupervisedSettings rates{.encoder_rate = 0.5, .head_rate = 2};
  SupervisedSettings frozen = rates;
  frozen.encoder = Encoder::kFrozen;
  return {
      method_case<Vicreg>("", {24, 20, 28}, true),
      method_case<BarlowTwins>("", {24, 28}, true),
      method_case<SimClr>("", {24, 16}, true),
      method_case<SimSiam>("", {24, 16}, false, {.predictor = 12}),
      method_case<Byol>("", {24, 16}, true,
                        {.predictor = 12, .target_momentum = 0.9}),
      method_case<MocoV2>("", {24, 16}, false, moco),
      method_case<MocoV2>("/groups", {24, 16}, false, groups),
      method_case<MocoV2>("/symmetric", {24, 16}, false, symmetric),
      method_case<Swav>("", {24, 16}, true, swav),
      method_case<Swav>("/queue", {24, 16}, true, queue),
      method_case<Supervised>("", {24}, false, rates),
      method_case<Supervised>("/frozen", {24}, false, frozen),
  };
}

// Values, target, running statistics and keys by hash of the name, on a device of
// any kind. Biases are such that few pre-activations lie near 0, where rounding
// decides what a ReLU lets through.
inline void hash_method(Parameters& parameters) {
  parameters.initialise(1);
  HostParameters host(parameters);
  Parameters& p = *host;
  for (int i = 0; i < static_cast<int>(p.table().size()); ++i) {
    const ParameterInfo& info = p.table()[static_cast<std::size_t>(i)];
    const Dims shape = torch_shape(info.shape);
    // A beta that is none stays 0.
    if (!info.frozen || info.name.starts_with(Model::kEncoder))
      set_from_torch_layout(p.value(i), hashed_parameter(info.name, shape));
    if (p.has_target())
      set_from_torch_layout(p.target(i),
                            hashed_parameter("target/" + info.name, shape));
  }
  for (int i = 0; i < static_cast<int>(p.buffers().size()); ++i) {
    const std::string& name = p.buffers()[static_cast<std::size_t>(i)].name;
    const Tensor t = p.buffer(i);
    if (name.find("running") != std::string::npos)
      set_from_torch_layout(t, hashed(name, t.elements(), 0.5,
                                      name.ends_with("var") ? 1 : 0));
    if (name != "queue.keys") continue;
    auto rows = hashed(name, t.elements());
    const std::int64_t units = t.shape[1];
    for (auto row = rows.begin(); row != rows.end(); row += units) {
      const double length = norm(std::span(&*row, static_cast<std::size_t>(units)));
      for (auto x = row; x != row + units; ++x)
        *x = static_cast<float>(static_cast<double>(*x) / length);
    }
    set_from_torch_layout(t, rows);
  }
  host.write_back();
}

inline TrainingStepSpec method_step(const MethodCase& c) {
  TrainingStepSpec spec = small_step();
  spec.optimizer.eta = 0.02, spec.optimizer.lr_1d = 0.01;
  if (!c.lars) {
    spec.optimizer.lr_1d = 1;
    spec.optimizer.kind = OptimizerKind::kSgd;
    spec.optimizer.weight_decay = 1e-4, spec.optimizer.decay_1d = true;
  }
  return spec;
}

// Of step k of ten, an epoch each.
inline Position method_position(const MethodCase& c, std::int64_t k) {
  return {.step = k, .total_steps = 10, .steps_per_epoch = 1,
          .peak_rate = c.peak};
}
inline double method_rate(const MethodCase& c, std::int64_t k) {
  const double x = static_cast<double>(k);
  return c.lars ? 0.5 * x : 0.02 * (x + 1);
}

}  // namespace music::test
