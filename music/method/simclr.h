#pragma once
// SimCLR (arXiv 2002.05709): among the views of all samples of the batch, each
// view should be nearest to its sample's other view (NT-Xent). The loss is the
// code's, the sum of the two views' means: twice the paper's. One batch norm for
// both views, as in the code.

#include "layers/projector.h"
#include "music/method/method.h"
#include "music/method/setting.h"

namespace music {

struct SimClrSettings {
  double temperature = 0.1;
};

class SimClr : public Method {
 public:
  static constexpr const char* kName = "simclr";
  static constexpr const char* kSection = "simclr";
  using Settings = SimClrSettings;
  static constexpr Needs kNeeds = {};
  static std::vector<Setting<Settings>> settings();

  SimClr(Parameters& parameters, const Settings& settings,
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
