#include "layers/norm.h"

#include "dist/sum_over_ranks.h"
#include "engine/ops/batch_norm.h"

namespace music {

BatchNorm::BatchNorm(Parameters& parameters, const std::string& name,
                     std::int64_t channels, double gamma, Affine affine)
    : mean_(parameters.add_buffer(name + ".running_mean", {channels}, 0)),
      var_(parameters.add_buffer(name + ".running_var", {channels}, 1)) {
  if (affine == Affine::kNone) return;
  weight_ = parameters.add(name + ".weight", {channels}, Init::constant(gamma));
  bias_ = parameters.add(name + ".bias", {channels}, Init::constant(0));
  if (affine == Affine::kNoBeta) parameters.freeze(bias_);
}

Value BatchNorm::affine(Graph& graph, int parameter, double otherwise,
                        std::int64_t channels, ForwardMode mode) const {
  return parameter >= 0 ? weight(graph, parameter, mode)
                        : graph.constant({channels}, otherwise);
}

BatchNorm::Values BatchNorm::values(Graph& graph, std::int64_t channels,
                                    ForwardMode mode) const {
  return {affine(graph, weight_, 1, channels, mode),
          affine(graph, bias_, 0, channels, mode), graph.buffer(mean_),
          graph.buffer(var_)};
}

Value BatchNorm::forward(Graph& graph, Value x, ForwardMode mode, bool relu,
                         Value residual) const {
  BatchNormSpec spec;
  spec.groups = mode.groups;
  spec.relu = relu;
  const std::int64_t channels = graph.shape(x)[graph.shape(x).rank() - 1];
  const Value gamma = affine(graph, weight_, 1, channels, mode);
  const Value beta = affine(graph, bias_, 0, channels, mode);
  MUSIC_CHECK(mode.training || !mode.target,
              "[norm] a target network in evaluation: expected training, it "
              "has no running statistics");
  if (!mode.training)
    return batch_norm_inference(graph, x, gamma, beta, graph.buffer(mean_),
                                graph.buffer(var_), residual, spec);
  const bool moves = mode.moves_statistics && !mode.target;
  const Value mean = moves ? graph.buffer(mean_) : Value{};
  const Value var = moves ? graph.buffer(var_) : Value{};
  const StatisticsHook over_ranks = dist::over_ranks(
      mode.communicator, dist::Timetable::Account::kNorm);
  if (!mode.own_groups)
    return batch_norm(graph, x, gamma, beta, mean, var, residual, spec,
                      over_ranks);
  const StatisticsHook all = [over_ranks](Graph& g, Value statistics) {
    return over_ranks ? over_ranks(g, statistics) : statistics;
  };
  return batch_norm(graph, x, gamma, beta, mean, var, residual, spec, nullptr,
                    all);
}

}  // namespace music
