#include "music/model/model.h"

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
    method_ = make_method(parameters_, spec.method,
                          {.features = spec.encoder.features(),
                           .projector = spec.projector,
                           .samples = spec.samples,
                           .classes = spec.classes});
  if (spec.head)
    head_.emplace(parameters_, kHead, spec.encoder.features(), *spec.head);
  parameters_.set_storage(storage);
}

const Method& Model::method() const {
  MUSIC_CHECK(method_, "[model] training needs a method, this has an encoder only");
  return *method_;
}

Model::Images Model::images(Graph& g, const SharedBatch& batch,
                            const TrainingStepSpec& step) const {
  const std::int64_t n = needs_of(spec_.method).views * batch.here();
  const Value pixels = g.input(
      "pixels", {n, step.image_size, step.image_size, 3}, DType::kU8);
  return {pixels, normalised(g, pixels, step.pixels)};
}

// All views in one pass, normalised by their own statistics: the same numbers
// as a pass each, with fewer launches.
ForwardMode Model::training_mode(dist::Communicator* communicator) const {
  return {.training = true,
          .groups = needs_of(spec_.method).views,
          .communicator = communicator};
}

StepGraph Model::step_graph(std::int64_t samples, const TrainingStepSpec& spec,
                            dist::Communicator* communicator,
                            int phase) const {
  const Method& method = this->method();
  StepGraph step{Graph(parameters_), {}, {}, {}, {}};
  Graph& g = step.graph;
  const SharedBatch batch{communicator, samples};
  const Images x = images(g, batch, spec);
  step.pixels = x.pixels;
  if (needs_of(spec_.method).labels)
    step.labels = g.input("labels", {batch.here()}, DType::kI32);
  const Inputs inputs{x.normalised, step.labels, batch, phase};

  const std::vector<Value> embedded =
      method.embed(g, encoder_, inputs, training_mode(communicator));
  step.loss_begin = g.nodes().size();
  step.objective = method.objective(g, embedded, inputs);
  step.loss_scale = g.input("loss_scale", {1}, DType::kF32);
  step.backward_begin = g.nodes().size();
  backward(g, step.objective.loss, step.loss_scale);
  method.finish(g, embedded, inputs);

  g.keep(step.objective.total);
  for (const Reading& r : step.objective.readings) g.keep(r.value);
  return step;
}

FeatureGraph Model::feature_graph(std::int64_t images, int image_size,
                                  const data::PixelStats& pixels,
                                  FeatureKind kind) const {
  MUSIC_CHECK(kind != FeatureKind::kEmbedding || head_,
              "[model] embeddings need a head, this has an encoder only");
  FeatureGraph f{Graph(parameters_), {}, {}};
  Graph& g = f.graph;
  // A GPU's convolution does not take a bias along.
  const ForwardMode mode{
      .training = false,
      .fold = parameters_.storage().device == Device::kCpu,
      .groups = 1};
  f.pixels = g.input("pixels", {images, image_size, image_size, 3}, DType::kU8);
  const Value x = normalised(g, f.pixels, pixels);
  Value y = kind == FeatureKind::kRes5
                ? ResNet::res5(g, encoder_.map(g, x, mode))
                : encoder_.forward(g, x, mode);
  if (kind == FeatureKind::kEmbedding) y = head_->forward(g, y, mode);
  f.features = cast(g, y, DType::kF32);
  g.keep(f.features);
  return f;
}

ClassifierGraph Model::classifier_graph(std::int64_t images, int image_size,
                                        const data::PixelStats& pixels) const {
  ClassifierGraph c{Graph(parameters_), {}, {}};
  c.pixels = c.graph.input("pixels", {images, image_size, image_size, 3},
                           DType::kU8);
  c.classifiers = method().classify(c.graph, encoder_,
                                    normalised(c.graph, c.pixels, pixels));
  for (const auto& classifier : c.classifiers) c.graph.keep(classifier.logits);
  return c;
}

}  // namespace music
