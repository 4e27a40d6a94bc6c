#pragma once
// Barlow Twins (arXiv 2103.03230): the cross-correlation of the two views' units
// should be the identity.

#include "layers/projector.h"
#include "music/loss/barlow_twins_spec.h"
#include "music/method/method.h"
#include "music/method/setting.h"

namespace music {

class BarlowTwins : public Method {
 public:
  static constexpr const char* kName = "barlow_twins";
  static constexpr const char* kSection = "barlow_twins";
  using Settings = BarlowTwinsSpec;
  static constexpr Needs kNeeds = {};
  static std::vector<Setting<Settings>> settings();
  static void check(const Settings& settings, const HeadSizes& sizes,
                    std::vector<std::string>& warnings);

  BarlowTwins(Parameters& parameters, const Settings& settings,
              const HeadSizes& sizes);
  std::vector<Value> embed(Graph& graph, const ResNet& encoder,
                           const Inputs& inputs,
                           ForwardMode mode) const override;
  Objective objective(Graph& graph, std::span<const Value> embedded,
                      const Inputs& inputs) const override;
  Report report(const Readings& readings, double total,
                std::int64_t samples) const override;

 private:
  Settings settings_;
  Projector projector_;
};

}  // namespace music
