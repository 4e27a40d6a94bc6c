#pragma once
// Barlow Twins (arXiv 2103.03230): the cross-correlation of the two views' units
// should be the identity.

#include "music/loss/barlow_twins_spec.h"
#include "music/method/parts.h"
#include "music/method/setting.h"

namespace music {

class BarlowTwins : public ProjectedMethod {
 public:
  static constexpr const char* kName = "barlow_twins";
  static constexpr const char* kSection = "barlow_twins";
  using Settings = BarlowTwinsSpec;
  static constexpr Needs kNeeds = {};
  static std::vector<Setting<Settings>> settings();

  BarlowTwins(Parameters& parameters, const Settings& settings,
              const HeadSizes& sizes);
  Objective objective(Graph& graph, std::span<const Value> embedded,
                      const Inputs& inputs) const override;
  Report report(const Readings& readings, double total,
                std::int64_t samples) const override;
  std::string legend() const override {
    return "[a, b] beside a value: a for units that are all alike, b at best";
  }

 private:
  Settings settings_;
};

}  // namespace music
