#pragma once
// VICReg (arXiv 2105.04906): views alike, every unit with variance, no two units
// correlated. No batch, and no short last one, may have a single sample.

#include "music/loss/vicreg_spec.h"
#include "music/method/parts.h"
#include "music/method/setting.h"

namespace music {

class Vicreg : public ProjectedMethod {
 public:
  static constexpr const char* kName = "vicreg";
  static constexpr const char* kSection = "vicreg";
  using Settings = VicregSpec;
  static constexpr Needs kNeeds = {};
  static std::vector<Setting<Settings>> settings();
  static void check(const Settings& settings, const HeadSizes& sizes,
                    std::vector<std::string>& warnings);

  Vicreg(Parameters& parameters, const Settings& settings,
         const HeadSizes& sizes);
  Objective objective(Graph& graph, std::span<const Value> embedded,
                      const Inputs& inputs) const override;
  Report report(const Readings& readings, double total,
                std::int64_t samples) const override;
  std::string legend() const override {
    return "[a, b] beside a value: a for embeddings that are all alike, b at best";
  }

 private:
  Settings settings_;
};

}  // namespace music
