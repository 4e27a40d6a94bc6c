#include "engine/ops/contrastive.h"

#include "engine/ops/scale.h"

namespace music {
namespace {

void check_temperature(const char* op, double temperature) {
  MUSIC_CHECK(temperature > 0, "[{}] temperature {}, expected above 0", op,
              temperature);
}

// Input i's gradient is output 2 + i, formed by the forward pass for a loss
// whose own gradient is 1.
std::vector<Value> gradients(Graph& g, const Node& n,
                             const std::vector<GradientParts>& dy) {
  MUSIC_CHECK(dy[1].empty(), "[{}] a gradient reached the count of correct "
              "rows, which has none", n.op);
  std::vector<Value> result(n.inputs.size());
  const Value d = g.sum(dy[0]);
  for (std::size_t i = 0; i < result.size(); ++i)
    if (g.needs_gradient(n.inputs[i]))
      result[i] = scale(g, n.outputs[2 + i], d);
  return result;
}

}  // namespace

ContrastiveValues contrastive(Graph& graph, Value scores,
                              ContrastiveSpec spec) {
  const ValueInfo s = graph.info(scores);
  MUSIC_CHECK(s.shape.rank() == 2 && s.dtype == DType::kF32 &&
                  s.shape[0] % 2 == 0 && s.shape[1] == 2 * spec.samples &&
                  spec.first >= 0 &&
                  spec.first + s.shape[0] / 2 <= spec.samples,
              "[contrastive] scores {} {} of samples {} on of {}: expected F32 "
              "[2n,2N]", name_of(s.dtype), s.shape.str(), spec.first,
              spec.samples);
  check_temperature("contrastive", spec.temperature);
  Node node;
  node.op = "contrastive";
  node.inputs = {scores};
  node.in_place = {-1, -1, 0};
  node.make = [spec](const KernelRequest& r) {
    return MUSIC_MAKE(make_contrastive, r, spec);
  };
  node.backward = gradients;
  const OutputSpec outs[] = {{Shape{1}}, {Shape{1}}, {s.shape}};
  const auto out = graph.add(std::move(node), outs);
  return {out[0], out[1]};
}

ContrastiveValues queue_contrastive(Graph& graph, Value positive,
                                    Value negatives, double temperature,
                                    double weight) {
  const ValueInfo p = graph.info(positive), q = graph.info(negatives);
  const bool fit = q.shape.rank() == 2 && (p.shape == Shape{q.shape[0]} ||
                                           p.shape == Shape{q.shape[0], 1});
  MUSIC_CHECK(fit && p.dtype == DType::kF32 && q.dtype == DType::kF32,
              "[queue_contrastive] positive {} {} with negatives {} {}: "
              "expected F32 [n] and [n,K]", name_of(p.dtype), p.shape.str(),
              name_of(q.dtype), q.shape.str());
  check_temperature("queue_contrastive", temperature);
  ContrastiveSpec spec;
  spec.temperature = temperature, spec.weight = weight;
  Node node;
  node.op = "queue_contrastive";
  node.inputs = {positive, negatives};
  node.in_place = {-1, -1, 0, 1};
  node.make = [spec](const KernelRequest& r) {
    return MUSIC_MAKE(make_queue_contrastive, r, spec);
  };
  node.backward = gradients;
  const OutputSpec outs[] = {{Shape{1}}, {Shape{1}}, {p.shape}, {q.shape}};
  const auto out = graph.add(std::move(node), outs);
  return {out[0], out[1]};
}

}  // namespace music
