#pragma once
// SwAV (arXiv 2006.09882) with two crops of one size: a view's similarities to
// prototypes should tell the other view's code, its share in a balanced
// assignment of the batch to the prototypes (sinkhorn.h). The codes of a small
// batch are found together with the embeddings of earlier batches, from a queue.
// One batch norm for both views, as in the code.

#include "layers/projector.h"
#include "music/method/method.h"
#include "music/method/setting.h"

namespace music {

struct SwavSettings {
  std::int64_t prototypes = 3000;
  double epsilon = 0.05;     // of the assignment
  int iterations = 3;
  double temperature = 0.1;  // of the similarities
  double freeze = 1;         // epochs without an update of the prototypes
  std::int64_t queue = 0;    // embeddings of earlier batches a view; 0 = none
  double queue_from = 15;    // the epoch in which they begin to be kept
};

class Swav : public Method {
 public:
  static constexpr const char* kName = "swav";
  static constexpr const char* kSection = "swav";
  using Settings = SwavSettings;
  static constexpr Needs kNeeds = {.full_batches = true};
  static std::vector<Setting<Settings>> settings();
  static void check(const Settings& settings, const HeadSizes& sizes,
                    std::vector<std::string>& warnings);

  Swav(Parameters& parameters, const Settings& settings,
       const HeadSizes& sizes);
  std::vector<Value> embed(Graph& graph, const ResNet& encoder,
                           const Inputs& inputs,
                           ForwardMode mode) const override;
  Objective objective(Graph& graph, std::span<const Value> embedded,
                      const Inputs& inputs) const override;
  void finish(Graph& graph, std::span<const Value> embedded,
              const Inputs& inputs) const override;
  UpdateKnobs knobs(const Position& position, double rate) const override;
  int phases() const override;
  int phase(const Position& position) const override;
  Report report(const Readings& readings, double total,
                std::int64_t samples) const override;

 private:
  Settings settings_;
  std::int64_t samples_;
  Projector projector_;
  int prototypes_;              // [K,D], rows of unit length
  int queue_[2], position_[2];  // buffers: of each view, [L,D] and [1]
};

}  // namespace music
