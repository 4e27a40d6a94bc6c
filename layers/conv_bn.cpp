#include "layers/conv_bn.h"

#include "engine/ops/conv2d_norm.h"
#include "layers/init.h"

namespace music {

ConvBn::ConvBn(Parameters& parameters, const std::string& conv_name,
               const std::string& bn_name, const Spec& spec)
    : weight_(parameters.add(
          conv_name + ".weight", {spec.out, spec.kernel, spec.kernel, spec.in},
          conv_init({spec.out, spec.kernel, spec.kernel, spec.in}, spec.init))),
      spec_{spec.stride, spec.kernel / 2},
      name_(conv_name),
      norm_(parameters, bn_name, spec.out, spec.gamma) {}

Value ConvBn::forward(Graph& graph, Value x, ForwardMode mode, bool relu,
                      Value residual) const {
  Graph::Scope scope(graph, name_);
  const Value w = weight(graph, weight_, mode, graph.info(x).dtype);
  if (mode.fold && !mode.training) {
    const auto [gamma, beta, mean, var] =
        norm_.values(graph, graph.shape(w)[0], mode);
    return conv2d_norm(graph, x, w, spec_, gamma, beta, mean, var, residual, relu);
  }
  const Value y = conv2d(graph, x, w, spec_);
  return norm_.forward(graph, y, mode, relu, residual);
}

}  // namespace music
