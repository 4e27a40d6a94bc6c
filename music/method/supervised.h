#pragma once
// Training on labels: a linear classifier on the encoder's features, with the
// cross-entropy. With a frozen encoder the linear probe, otherwise fine-tuning or
// training from scratch. It has no projector.
//
// A frozen encoder can carry a grid of classifiers, one for each pair of `rates`
// and `decays`: one pass of the data and of the encoder trains them all, each as
// if alone, to the bit on a CPU. So they are products of their own and not one
// wide one, whose cost beside the encoder's is small either way.

#include <optional>

#include "layers/norm.h"
#include "music/method/method.h"
#include "music/method/setting.h"

namespace music {

struct SupervisedSettings {
  enum class Encoder { kTrained, kFrozen };
  enum class Features { kPooled, kRes5 };
  enum class Head { kLinear, kBatchNorm };
  Encoder encoder = Encoder::kTrained;  // kFrozen: in evaluation mode
  // Training: of all processes' samples, or of those of each. Running statistics
  // are of all.
  enum class Statistics { kShared, kOwn };
  Statistics batch_norm = Statistics::kShared;
  double encoder_rate = 1;  // times the learning rate
  double head_rate = 1;
  Features features = Features::kPooled;
  Head head = Head::kLinear;  // kBatchNorm: one before the linear layer
  // Learning rates at the schedule's peak, and weight decays, of classifiers
  // beside each other; empty: one with the optimiser's.
  std::vector<double> rates = {}, decays = {};
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
  struct Classifier {
    std::string name;  // "lr0.1_wd0.0001", "" for one alone
    std::optional<double> rate, decay;
    int weight, bias;
    std::optional<BatchNorm> norm;
  };

  Value features(Graph& graph, const ResNet& encoder, Value images,
                 ForwardMode mode) const;
  Value logits(Graph& graph, const Classifier& classifier, Value features,
               ForwardMode mode) const;

  Settings settings_;
  std::vector<Classifier> classifiers_;  // number i is group i + 1
};

}  // namespace music
