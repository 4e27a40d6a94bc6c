#pragma once
// MoCo v2 (arXiv 2003.04297, 1911.05722): a view should be nearest to what a
// slowly following key network makes of the sample's other view, among the keys
// of earlier batches, which stand in a queue.
//
// Batch norm must not tell a key from those of the queue: statistics are those of
// `group` samples, and a sample's key is normalised among other samples than its
// query. The authors exchange images between GPUs at random; here the groups of
// the queries have every so many-th sample and those of the keys consecutive
// ones, which needs no exchange and is the same for any number of processes that
// divides group and number of groups. Running statistics are of all samples.

#include "layers/projector.h"
#include "music/method/method.h"
#include "music/method/setting.h"

namespace music {

struct MocoV2Settings {
  double temperature = 0.2;
  double target_momentum = 0.999;  // of the key network
  std::int64_t queue = 65536;      // keys of earlier batches
  std::int64_t group = 32;  // samples a batch norm; 0 = all, without a shuffle
  bool symmetric = false;   // both views as queries; the losses' mean
};

class MocoV2 : public Method {
 public:
  static constexpr const char* kName = "moco_v2";
  static constexpr const char* kSection = "moco_v2";
  using Settings = MocoV2Settings;
  static constexpr Needs kNeeds = {.full_batches = true};
  static std::vector<Setting<Settings>> settings();
  static void check(const Settings& settings, const HeadSizes& sizes,
                    std::vector<std::string>& warnings);

  MocoV2(Parameters& parameters, const Settings& settings,
         const HeadSizes& sizes);
  std::vector<Value> embed(Graph& graph, const ResNet& encoder,
                           const Inputs& inputs,
                           ForwardMode mode) const override;
  Objective objective(Graph& graph, std::span<const Value> embedded,
                      const Inputs& inputs) const override;
  void finish(Graph& graph, std::span<const Value> embedded,
              const Inputs& inputs) const override;
  UpdateKnobs knobs(const Position& position, double rate) const override;
  Report report(const Readings& readings, double total,
                std::int64_t samples) const override;

 private:
  Settings settings_;
  Projector projector_;
  int queue_, position_;  // buffers: keys [K,D]; the row to write next
};

}  // namespace music
