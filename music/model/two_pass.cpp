#include "music/model/two_pass.h"

#include "engine/core/buffer.h"
#include "engine/graph/autograd.h"
#include "music/model/model.h"

namespace music {

EmbedGraph Model::embed_graph(PartShape shape, const TrainingStepSpec& spec,
                              dist::Communicator* communicator) const {
  EmbedGraph e{Graph(parameters_), {}, {}};
  Graph& g = e.graph;
  const SharedBatch part{communicator, shape.samples, shape.first_rank};
  const Images x = images(g, part, spec);
  e.pixels = x.pixels;
  e.embedded = method().embed(g, encoder_, {x.normalised, {}, part},
                              training_mode(communicator));
  for (const Value v : e.embedded) g.keep(v);
  return e;
}

// Of one process, which has samples.
std::vector<EmbeddedRows> Model::embedded_rows(
    std::int64_t samples, const TrainingStepSpec& spec) const {
  const EmbedGraph e = embed_graph({samples}, spec);
  std::vector<EmbeddedRows> rows;
  for (const Value v : e.embedded) {
    const ValueInfo& info = e.graph.info(v);
    MUSIC_CHECK(info.shape.rank() == 2 && info.shape[0] % samples == 0,
                "[model] {} samples are embedded as {}, expected [views * n, "
                "width]", samples, info.shape.str());
    rows.push_back({info.shape[0] / samples, info.shape[1], info.dtype,
                    info.needs_gradient});
  }
  return rows;
}

ObjectiveGraph Model::objective_graph(std::int64_t samples,
                                      const std::vector<EmbeddedRows>& rows,
                                      dist::Communicator* communicator,
                                      int phase) const {
  ObjectiveGraph o{Graph(parameters_), {}, {}, {}, {}, {}, {}};
  Graph& g = o.graph;
  const SharedBatch batch{communicator, samples};
  const std::int64_t n = batch.here();
  std::vector<Value> differentiated;
  for (const EmbeddedRows& r : rows) {
    const Value v = g.input("embedded", r.shape(n), r.dtype);
    g.info(v).needs_gradient = r.differentiated;
    o.embedded.push_back(v);
    if (r.differentiated) differentiated.push_back(v);
  }
  if (needs_of(spec_.method).labels)
    o.labels = g.input("labels", {n}, DType::kI32);
  o.loss_scale = g.input("loss_scale", {1}, DType::kF32);
  const Inputs inputs{{}, o.labels, batch, phase};
  o.objective = method().objective(g, o.embedded, inputs);
  o.backward_begin = g.nodes().size();
  const Seed seeds[] = {{o.objective.loss, o.loss_scale}};
  PartialGradients gradients = backward_part(g, seeds, differentiated);
  method().finish(g, o.embedded, inputs);

  o.reached = std::move(gradients.reached);
  auto next = gradients.wanted.begin();
  for (const EmbeddedRows& r : rows) {
    const Value gradient = r.differentiated ? *next++ : Value{};
    if (gradient) g.keep(gradient);
    o.gradients.push_back(gradient);
  }
  g.keep(o.objective.total);
  for (const Reading& r : o.objective.readings) g.keep(r.value);
  return o;
}

EmbedBackwardGraph Model::embed_backward_graph(
    PartShape shape, const TrainingStepSpec& spec,
    const ObjectiveGraph& towards, dist::Communicator* communicator) const {
  EmbedBackwardGraph e{Graph(parameters_), {}, {}};
  Graph& g = e.graph;
  const SharedBatch part{communicator, shape.samples, shape.first_rank};
  const Images x = images(g, part, spec);
  e.pixels = x.pixels;
  ForwardMode mode = training_mode(communicator);
  mode.moves_statistics = false;
  const std::vector<Value> embedded = method().embed(
      g, encoder_, {x.normalised, {}, part}, mode);
  std::vector<Seed> seeds;
  for (std::size_t i = 0; i < embedded.size(); ++i) {
    Value gradient;
    if (const Value of = towards.gradients[i]) {
      gradient = g.input("gradient", g.shape(embedded[i]),
                         towards.graph.info(of).dtype);
      seeds.push_back({embedded[i], gradient});
    }
    e.gradients.push_back(gradient);
  }
  e.backward_begin = g.nodes().size();
  std::vector<bool> reached = backward_part(g, seeds, {}).reached;
  for (std::size_t i = 0; i < reached.size(); ++i)
    reached[i] = reached[i] || towards.reached[i];
  require_reached(parameters_, reached);
  return e;
}

TwoPassLayout::TwoPassLayout(const std::vector<EmbeddedRows>& of,
                             const ObjectiveGraph& towards,
                             std::size_t arena, std::int64_t samples_here,
                             std::int64_t part_here, std::size_t sample_bytes) {
  const auto take = [&](std::size_t size) {
    const std::size_t offset = bytes;
    bytes += aligned(size);
    return offset;
  };
  objective = take(arena);
  pixels = take(static_cast<std::size_t>(part_here) * sample_bytes);
  for (std::size_t i = 0; i < of.size(); ++i) {
    rows.push_back(take(of[i].bytes(samples_here)));
    gradients.push_back(take(towards.gradients[i] ? of[i].bytes(part_here) : 0));
  }
}

}  // namespace music
