#pragma once
// BYOL (arXiv 2006.07733): a predictor of one view's projection should give what
// a slowly following target network makes of the other view.
// loss = mean(|p1 - t2|^2 + |p2 - t1|^2) of unit rows, from 0 to 8.

#include "layers/projector.h"
#include "music/method/method.h"
#include "music/method/setting.h"

namespace music {

struct ByolSettings {
  std::int64_t predictor = 4096;  // width of its hidden layer
  double target_momentum = 0.99;  // tau at the first step; 1 at the last
};

class Byol : public Method {
 public:
  static constexpr const char* kName = "byol";
  static constexpr const char* kSection = "byol";
  using Settings = ByolSettings;
  static constexpr Needs kNeeds = {};
  static std::vector<Setting<Settings>> settings();

  Byol(Parameters& parameters, const Settings& settings,
       const HeadSizes& sizes);
  std::vector<Value> embed(Graph& graph, const ResNet& encoder,
                           const Inputs& inputs,
                           ForwardMode mode) const override;
  Objective objective(Graph& graph, std::span<const Value> embedded,
                      const Inputs& inputs) const override;
  UpdateKnobs knobs(const Position& position, double rate) const override;
  Report report(const Readings& readings, double total,
                std::int64_t samples) const override;

 private:
  Settings settings_;
  Projector projector_, predictor_;
};

}  // namespace music
