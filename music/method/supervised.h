#pragma once
// Training on labels: a linear classifier on the encoder's features, with the
// cross-entropy. With a frozen encoder the linear probe, otherwise fine-tuning or
// training from scratch. It has no projector.

#include "music/method/method.h"
#include "music/method/setting.h"

namespace music {

struct SupervisedSettings {
  enum class Encoder { kTrained, kFrozen };
  Encoder encoder = Encoder::kTrained;  // kFrozen: in evaluation mode
  // Training: of all processes' samples, or of those of each. Running statistics
  // are of all.
  enum class Statistics { kShared, kOwn };
  Statistics batch_norm = Statistics::kShared;
  double encoder_rate = 1;  // times the learning rate
  double head_rate = 1;
};

class Supervised : public Method {
 public:
  static constexpr const char* kName = "supervised";
  static constexpr const char* kSection = "supervised";
  using Settings = SupervisedSettings;
  static constexpr Needs kNeeds = {.views = 1, .labels = true,
                                   .projector = false};
  static std::vector<Setting<Settings>> settings();

  static void check(const Settings& settings, const HeadSizes& sizes,
                    std::vector<std::string>& warnings);

  Supervised(Parameters& parameters, const Settings& settings,
             const HeadSizes& sizes);
  std::vector<Value> embed(Graph& graph, const ResNet& encoder,
                           const Inputs& inputs,
                           ForwardMode mode) const override;
  Objective objective(Graph& graph, std::span<const Value> embedded,
                      const Inputs& inputs) const override;
  std::vector<Classified> classify(Graph& graph, const ResNet& encoder,
                                   Value images) const override;
  UpdateKnobs knobs(const Position& position, double rate) const override;
  Report report(const Readings& readings, double total,
                std::int64_t samples) const override;
  std::string legend() const override { return ""; }

 private:
  Value logits(Graph& graph, Value features) const;

  Settings settings_;
  int weight_, bias_;
};

}  // namespace music
