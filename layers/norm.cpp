#include "layers/norm.h"

#include "dist/sum_over_ranks.h"
#include "engine/ops/batch_norm.h"

namespace music {

BatchNorm::BatchNorm(Parameters& parameters, const std::string& name,
                     std::int64_t channels, double gamma)
    : weight_(parameters.add(name + ".weight", {channels}, Init::constant(gamma))),
      bias_(parameters.add(name + ".bias", {channels}, Init::constant(0))),
      mean_(parameters.add_buffer(name + ".running_mean", {channels}, 0)),
      var_(parameters.add_buffer(name + ".running_var", {channels}, 1)) {}

Value BatchNorm::forward(Graph& graph, Value x, ForwardMode mode, bool relu,
                         Value residual) const {
  BatchNormSpec spec;
  spec.groups = mode.groups;
  spec.relu = relu;
  const Value gamma = graph.parameter(weight_), beta = graph.parameter(bias_);
  const Value mean = graph.buffer(mean_), var = graph.buffer(var_);
  if (!mode.training)
    return batch_norm_inference(graph, x, gamma, beta, mean, var, residual,
                                spec);
  StatisticsHook combine;
  if (mode.communicator && mode.communicator->size() > 1)
    combine = [&c = *mode.communicator](Graph& g, Value statistics) {
      return dist::sum_over_ranks(g, statistics, c);
    };
  return batch_norm(graph, x, gamma, beta, mean, var, residual, spec, combine);
}

}  // namespace music
