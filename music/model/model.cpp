#include "music/model/model.h"

#include "engine/core/shard.h"
#include "engine/graph/autograd.h"
#include "engine/ops/cast.h"
#include "engine/ops/image_normalize.h"

namespace music {
namespace {

// Network input in the type the parameters compute with. Tensor cores take
// channels by fours.
Value normalised(Graph& graph, Value pixels, const data::PixelStats& stats) {
  const DType dtype = graph.parameters().storage().compute;
  return image_normalize(
      graph, pixels,
      {stats.mean, stats.std, dtype == DType::kF32 ? 3 : 4, dtype});
}

}  // namespace

Model::Model(const ModelSpec& spec, bool with_training)
    : Model(spec, ParameterStorage{.training = with_training}) {
  allocate();
}

Model::Model(const ModelSpec& spec, const ParameterStorage& storage)
    : spec_(spec), encoder_(parameters_, kEncoder, spec.encoder) {
  if (!spec.projector.empty())
    projector_ = std::make_unique<Projector>(
        parameters_, kProjector, spec.encoder.features(), spec.projector);
  parameters_.set_storage(storage);
}

StepGraph Model::step_graph(std::int64_t samples, int image_size,
                            const data::PixelStats& pixels,
                            const Segments& segments,
                            const JointEntropySpec& loss,
                            dist::Communicator* communicator) const {
  MUSIC_CHECK(projector_, "[model] training needs a projector");
  StepGraph step{Graph(parameters_), {}, {}, {}};
  Graph& g = step.graph;
  const std::int64_t n =
      communicator ? shard_size(samples, communicator->rank(),
                                communicator->size())
                   : samples;
  step.pixels = g.input("pixels", {2 * n, image_size, image_size, 3},
                        DType::kU8);
  // Both views in one pass, normalised by their own statistics: the same
  // numbers as two passes, with half the launches.
  const ForwardMode mode{
      .training = true, .groups = 2, .communicator = communicator};
  const Value x = normalised(g, step.pixels, pixels);
  const Value h = encoder_.forward(g, x, mode);
  const Value z = projector_->forward(g, h, mode);
  // Codes of 16 bits where activations are: fp16 in either case, since scaled
  // probabilities need digits, not range.
  const DType codes = parameters_.storage().compute == DType::kF32
                          ? DType::kF32
                          : DType::kF16;
  step.loss = joint_entropy(g, z, segments, loss, {communicator, samples}, codes);
  step.loss_scale = g.input("loss_scale", {1}, DType::kF32);
  backward(g, step.loss.total, step.loss_scale);
  return step;
}

FeatureGraph Model::feature_graph(std::int64_t images, int image_size,
                                  const data::PixelStats& pixels) const {
  FeatureGraph f{Graph(parameters_), {}, {}};
  f.pixels = f.graph.input("pixels", {images, image_size, image_size, 3},
                           DType::kU8);
  const Value x = normalised(f.graph, f.pixels, pixels);
  f.features = cast(
      f.graph,
      encoder_.forward(f.graph, x, {.training = false, .groups = 1}),
      DType::kF32);
  f.graph.keep(f.features);
  return f;
}

}  // namespace music
