#pragma once
// The trained thing: encoder, projector and their parameters, and the graphs
// recorded on them. One Model, any number of graphs.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/graph/graph.h"
#include "layers/projector.h"
#include "layers/resnet.h"
#include "music/method/methods.h"
#include "music/model/step_spec.h"
#include "music/model/two_pass.h"

namespace music {

struct ModelSpec {
  ResNetSpec encoder;
  // Output widths of the projector; empty: encoder only, without a method.
  std::vector<std::int64_t> projector = {};
  MethodSpec method = {};
  std::int64_t samples = 0;  // of a full batch, over all processes
  std::int64_t classes = 0;  // of the labels; 0 = none
  // A projector beside the encoder, to run and not to train: for embeddings.
  std::optional<HeadSpec> head = {};
};

// A training step without the optimiser: a batch to gradients.
struct StepGraph {
  Graph graph;
  Value pixels;  // input, u8 [views * n, size, size, 3]: view 1, then view 2
  Value labels;  // input, i32 [n]; invalid where the method needs none
  Value loss_scale;  // input, f32 [1]: gradients come multiplied by it
  Objective objective;  // total and readings are kept
  // Nodes: of the objective, behind the network; of the gradients, behind it.
  std::size_t loss_begin = 0, backward_begin = 0;
};

// What of the frozen network an evaluator takes.
enum class FeatureKind {
  kPooled,     // [n, C]: the encoder's features
  kRes5,       // [n, 2, 2, C]: ResNet::res5
  kEmbedding,  // [n, units]: the head's output
};

// Frozen network: pixels to features.
struct FeatureGraph {
  Graph graph;
  Value pixels;    // input, u8 [n, size, size, 3]
  Value features;  // f32, shaped by its kind, kept
};

// Pixels to the logits of the method's classifiers.
struct ClassifierGraph {
  Graph graph;
  Value pixels;  // input, u8 [n, size, size, 3]
  std::vector<Method::Classified> classifiers;  // kept; none: it has none
};

class Model {
 public:
  static constexpr const char* kEncoder = "backbone";
  static constexpr const char* kHead = "projector";

  // Registers the parameters. Graphs can be recorded and planned at once, for
  // storage's device and precision; running them takes allocate().
  Model(const ModelSpec& spec, const ParameterStorage& storage);
  // Values are zero until initialised or imported.
  void allocate() { parameters_.allocate(); }
  // On the CPU, allocated.
  Model(const ModelSpec& spec, bool with_training);

  // samples: of the batch; with a communicator, of all its processes, and n of
  // the graph is shard_size() of them. phase: of the method.
  StepGraph step_graph(std::int64_t samples, const TrainingStepSpec& step,
                       dist::Communicator* communicator = nullptr,
                       int phase = 0) const;
  // The same in two passes, part by part.
  EmbedGraph embed_graph(PartShape part, const TrainingStepSpec& step,
                         dist::Communicator* communicator = nullptr) const;
  // As what it embeds each sample of a batch.
  std::vector<EmbeddedRows> embedded_rows(std::int64_t samples,
                                          const TrainingStepSpec& step) const;
  ObjectiveGraph objective_graph(std::int64_t samples,
                                 const std::vector<EmbeddedRows>& rows,
                                 dist::Communicator* communicator = nullptr,
                                 int phase = 0) const;
  // towards: of the gradients that objective_graph() has.
  EmbedBackwardGraph embed_backward_graph(
      PartShape part, const TrainingStepSpec& step,
      const ObjectiveGraph& towards,
      dist::Communicator* communicator = nullptr) const;
  FeatureGraph feature_graph(std::int64_t images, int image_size,
                             const data::PixelStats& pixels,
                             FeatureKind kind = FeatureKind::kPooled) const;
  ClassifierGraph classifier_graph(std::int64_t images, int image_size,
                                   const data::PixelStats& pixels) const;

  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }
  const ModelSpec& spec() const { return spec_; }
  // Throws where there is none.
  const Method& method() const;

 private:
  // The input of a batch or part, and what the network takes.
  struct Images {
    Value pixels, normalised;
  };
  Images images(Graph& graph, const SharedBatch& batch,
                const TrainingStepSpec& step) const;
  // How a training step passes the network.
  ForwardMode training_mode(dist::Communicator* communicator) const;

  ModelSpec spec_;
  Parameters parameters_;
  ResNet encoder_;
  std::unique_ptr<Method> method_;
  std::optional<Projector> head_;
};

}  // namespace music
