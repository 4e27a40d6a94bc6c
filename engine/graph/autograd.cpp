#include "engine/graph/autograd.h"

namespace music {

void backward(Graph& graph, Value loss, Value seed) {
  MUSIC_CHECK(graph.shape(loss).elements() == 1,
              "[autograd] loss has shape {}, expected one element",
              graph.shape(loss).str());
  const Seed seeds[] = {{loss, seed}};
  require_reached(graph.parameters(), backward_part(graph, seeds, {}).reached);
}

PartialGradients backward_part(Graph& graph, std::span<const Seed> seeds,
                               std::span<const Value> wanted_inputs) {
  std::vector<GradientParts> gradients(graph.values().size());
  for (const Seed& seed : seeds) {
    MUSIC_CHECK(graph.shape(seed.gradient) == graph.shape(seed.value) ||
                    graph.shape(seed.value).elements() == 1,
                "[autograd] a seed of shape {} for a value of shape {}",
                graph.shape(seed.gradient).str(),
                graph.shape(seed.value).str());
    gradients[static_cast<std::size_t>(seed.value.id)].push_back(seed.gradient);
  }

  for (int n = static_cast<int>(graph.nodes().size()) - 1; n >= 0; --n) {
    // A copy: the callbacks append to the node list.
    const Node node = graph.nodes()[static_cast<std::size_t>(n)];
    if (node.stops_gradient) continue;
    std::vector<GradientParts> parts;
    bool reached = false, wanted = false;
    for (Value v : node.outputs) {
      parts.push_back(gradients[static_cast<std::size_t>(v.id)]);
      reached |= !parts.back().empty();
    }
    for (Value v : node.inputs) wanted |= graph.needs_gradient(v);
    if (!reached || !wanted) continue;
    MUSIC_CHECK(node.backward,
                "[autograd] {}{}{} has no gradient, but the loss depends on "
                "parameters through it: expected one, or stop_gradient",
                node.scope, node.scope.empty() ? "" : ".", node.op);

    Graph::Scope scope(graph, node.scope);
    const std::vector<Value> result = node.backward(graph, node, parts);
    MUSIC_CHECK(result.size() == node.inputs.size(),
                "[autograd] {} gave {} gradients for {} inputs", node.op,
                result.size(), node.inputs.size());
    for (std::size_t i = 0; i < result.size(); ++i)
      if (result[i])
        gradients[static_cast<std::size_t>(node.inputs[i].id)].push_back(
            result[i]);
  }

  const auto table = graph.parameters().table();
  PartialGradients result;
  result.reached.resize(table.size());
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const ValueInfo v = graph.values()[i];
    if (v.storage != Storage::kParameter || gradients[i].empty() ||
        table[static_cast<std::size_t>(v.slot)].frozen)
      continue;
    ValueInfo& g = graph.info(graph.sum(gradients[i]));
    MUSIC_CHECK(g.storage != Storage::kGradient,
                "[autograd] one value is the gradient of {} and of {}: expected "
                "one each", v.name,
                table[static_cast<std::size_t>(g.slot)].name);
    MUSIC_CHECK(g.storage == Storage::kPlanned && g.shape == v.shape &&
                    g.dtype == DType::kF32,
                "[autograd] gradient of {} is {} {}, expected F32 {}", v.name,
                name_of(g.dtype), g.shape.str(), v.shape.str());
    g.storage = Storage::kGradient;
    g.slot = v.slot;
    result.reached[static_cast<std::size_t>(v.slot)] = true;
  }
  for (const Value v : wanted_inputs) {
    const GradientParts& parts = gradients[static_cast<std::size_t>(v.id)];
    result.wanted.push_back(parts.empty() ? Value{} : graph.sum(parts));
  }
  return result;
}

void require_reached(const Parameters& parameters,
                     const std::vector<bool>& reached) {
  const auto table = parameters.table();
  for (std::size_t i = 0; i < table.size(); ++i)
    MUSIC_CHECK(reached[i] || table[i].frozen,
                "[autograd] the gradient does not reach {}: expected it to "
                "reach every parameter that is not frozen", table[i].name);
}

}  // namespace music
