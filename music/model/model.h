#pragma once
// The trained thing: encoder, projector and their parameters, and the graphs
// recorded on them. One Model, any number of graphs.

#include <memory>
#include <string>
#include <vector>

#include "data/augment_spec.h"
#include "engine/graph/graph.h"
#include "layers/projector.h"
#include "layers/resnet.h"
#include "music/loss/joint_entropy.h"
#include "music/loss/segments.h"

namespace music {

struct ModelSpec {
  ResNetSpec encoder;
  std::vector<std::int64_t> projector;  // output widths; empty: encoder only
};

// A training step without the optimiser: pixels of both views to gradients.
struct StepGraph {
  Graph graph;
  Value pixels;  // input, u8 [2n, size, size, 3]: view 1, then view 2
  Value loss_scale;  // input, f32 [1]: gradients come multiplied by it
  JointEntropyValues loss;
};

// Frozen encoder: pixels to pooled features.
struct FeatureGraph {
  Graph graph;
  Value pixels;    // input, u8 [n, size, size, 3]
  Value features;  // f32 [n, spec.encoder.features()], kept
};

class Model {
 public:
  static constexpr const char* kEncoder = "backbone";
  static constexpr const char* kProjector = "projector";

  // Registers the parameters. Graphs can be recorded and planned at once, for
  // storage's device and precision; running them takes allocate().
  Model(const ModelSpec& spec, const ParameterStorage& storage);
  // Values are zero until initialised or imported.
  void allocate() { parameters_.allocate(); }
  // On the CPU, allocated.
  Model(const ModelSpec& spec, bool with_training);

  // samples: of the batch; with a communicator, of all its processes, and n of
  // the graph is shard_size() of them.
  StepGraph step_graph(std::int64_t samples, int image_size,
                       const data::PixelStats& pixels, const Segments& segments,
                       const JointEntropySpec& loss,
                       dist::Communicator* communicator = nullptr) const;
  FeatureGraph feature_graph(std::int64_t images, int image_size,
                             const data::PixelStats& pixels) const;

  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }
  const ModelSpec& spec() const { return spec_; }

 private:
  ModelSpec spec_;
  Parameters parameters_;
  ResNet encoder_;
  std::unique_ptr<Projector> projector_;
};

}  // namespace music
