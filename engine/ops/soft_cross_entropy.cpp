#include "engine/ops/soft_cross_entropy.h"

#include "engine/ops/scale.h"

namespace music {

Value soft_cross_entropy(Graph& graph, Value logits, Value targets,
                         double temperature, double weight) {
  const ValueInfo z = graph.info(logits), t = graph.info(targets);
  MUSIC_CHECK(z.shape.rank() == 2 && z.shape == t.shape &&
                  z.dtype == DType::kF32 && t.dtype == DType::kF32,
              "[soft_cross_entropy] logits {} {} with targets {} {}: expected "
              "F32 [M,K] both", name_of(z.dtype), z.shape.str(),
              name_of(t.dtype), t.shape.str());
  MUSIC_CHECK(!t.needs_gradient,
              "[soft_cross_entropy] targets depend on parameters: expected "
              "constants (stop_gradient)");
  MUSIC_CHECK(temperature > 0, "[soft_cross_entropy] temperature {}, expected "
              "above 0", temperature);
  const SoftCrossEntropySpec spec{temperature, weight};
  Node node;
  node.op = "soft_cross_entropy";
  node.inputs = {logits, targets};
  node.in_place = {-1, 0};
  node.make = [spec](const KernelRequest& r) {
    return MUSIC_MAKE(make_soft_cross_entropy, r, spec);
  };
  node.backward = [](Graph& g, const Node& n,
                     const std::vector<GradientParts>& dy) {
    return std::vector<Value>{scale(g, n.outputs[1], g.sum(dy[0])), Value{}};
  };
  const OutputSpec outs[] = {{Shape{1}}, {z.shape}};
  return graph.add(std::move(node), outs)[0];
}

}  // namespace music
