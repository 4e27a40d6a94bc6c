#pragma once
// SimSiam (arXiv 2011.10566): a predictor of one view's projection should point
// where the other view's projection does, through which no gradient passes.
// loss = -(mean cos(p1, z2) + mean cos(p2, z1)) / 2. Per sample: nothing is
// compared across the batch but by batch norm.

#include "layers/projector.h"
#include "music/method/method.h"
#include "music/method/setting.h"

namespace music {

struct SimSiamSettings {
  std::int64_t predictor = 512;  // width of its hidden layer
  bool fixed_rate = true;        // the predictor's rate stays at the peak
};

class SimSiam : public Method {
 public:
  static constexpr const char* kName = "simsiam";
  static constexpr const char* kSection = "simsiam";
  using Settings = SimSiamSettings;
  static constexpr Needs kNeeds = {};
  static std::vector<Setting<Settings>> settings();

  SimSiam(Parameters& parameters, const Settings& settings,
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
