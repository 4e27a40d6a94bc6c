#include "engine/ops/batch_norm.h"

#include "engine/ops/running_statistics.h"

namespace music {
namespace {

void check(const Graph& graph, Value x, Value gamma, Value beta, Value mean,
           Value var, Value residual, const BatchNormSpec& spec) {
  const Shape xs = graph.shape(x);
  MUSIC_CHECK(xs.rank() >= 2, "[batch_norm] input {} has no channel axis",
              xs.str());
  const Shape channels{xs[-1]};
  for (Value v : {gamma, beta, mean, var})
    MUSIC_CHECK(!v || graph.shape(v) == channels,
                "[batch_norm] input {} with per-channel tensor {}", xs.str(),
                graph.shape(v).str());
  MUSIC_CHECK(spec.groups >= 1 && xs[0] % spec.groups == 0,
              "[batch_norm] batch {} does not divide into {} groups", xs[0],
              spec.groups);
  MUSIC_CHECK(bool(mean) == bool(var),
              "[batch_norm] running mean and variance come together");
  MUSIC_CHECK(!residual || graph.shape(residual) == xs,
              "[batch_norm] residual {} on input {}",
              residual ? graph.shape(residual).str() : "", xs.str());
}

std::vector<Value> gradient(Graph& g, const Node& n, BatchNormForm form,
                            const StatisticsHook& combine,
                            const std::vector<GradientParts>& dy) {
  const Value x = n.inputs[0], gamma = n.inputs[2];
  const Value saved = n.outputs[1];
  const Shape xs = g.shape(x);
  // Two parts (a block's output feeds the next convolution and the shortcut)
  // are summed here rather than in a pass of their own.
  GradientParts parts = dy[0];
  if (parts.size() > 2) parts = {g.sum(parts)};
  form.parts = static_cast<int>(parts.size());
  form.remask = form.spec.relu && !form.mask && !form.residual &&
                form.parts == 1;
  form.masked_dy =
      form.parts == 2 ||
      (form.spec.relu && (form.residual || (!form.mask && !form.remask)));
  const Value forward = n.inputs[1], beta = n.inputs[3];  // its statistics

  Node reduce;
  reduce.op = "batch_norm_backward_statistics";
  reduce.inputs = parts;
  reduce.inputs.push_back(x);
  if (form.remask)
    reduce.inputs.insert(reduce.inputs.end(), {forward, gamma, beta});
  else if (form.spec.relu)
    reduce.inputs.push_back(form.mask ? n.outputs[2] : n.outputs[0]);
  reduce.inputs.push_back(saved);
  reduce.make = [form](const KernelRequest& r) {
    return MUSIC_MAKE(make_batch_norm_backward_statistics, r, form);
  };
  std::vector<OutputSpec> outs = {
      {Shape{form.spec.groups, 2 * xs[-1] + 1}, DType::kF64}};
  if (form.masked_dy) {
    outs.push_back({xs, g.info(x).dtype});
    reduce.in_place = {-1, 0};
  }
  const auto reduced = g.add(std::move(reduce), outs);
  const Value dmasked = form.masked_dy ? reduced[1] : parts[0];

  const Value own = reduced[0];
  const Value stats = combine ? combine(g, own) : own;

  Node apply;
  apply.op = "batch_norm_backward";
  apply.inputs = {dmasked, x, saved, stats, gamma};
  if (form.remask)
    apply.inputs.insert(apply.inputs.end(), {forward, beta});
  else if (form.spec.relu && !form.masked_dy)
    apply.inputs.push_back(n.outputs[2]);
  if (form.combined) apply.inputs.push_back(own);
  apply.in_place = {0, -1, -1};
  apply.make = [form](const KernelRequest& r) {
    return MUSIC_MAKE(make_batch_norm_backward_apply, r, form);
  };
  const OutputSpec grads[] = {{xs, g.info(x).dtype},
                              {Shape{xs[-1]}}, {Shape{xs[-1]}}};
  const auto d = g.add(std::move(apply), grads);

  std::vector<Value> result(n.inputs.size());
  result[0] = d[0], result[2] = d[1], result[3] = d[2];
  if (form.residual) result.back() = dmasked;
  return result;
}

}  // namespace

Value batch_norm(Graph& graph, Value x, Value gamma, Value beta,
                 Value running_mean, Value running_var, Value residual,
                 BatchNormSpec spec, const StatisticsHook& combine,
                 const StatisticsHook& running) {
  check(graph, x, gamma, beta, running_mean, running_var, residual, spec);
  const Shape xs = graph.shape(x);
  BatchNormForm form{spec, bool(residual), bool(running_mean) && !running};
  form.combined = bool(combine);
  form.mask = spec.relu && graph.device() == Device::kCuda;

  Node statistics;
  statistics.op = "batch_norm_statistics";
  statistics.inputs = {x};
  statistics.make = [form](const KernelRequest& r) {
    return MUSIC_MAKE(make_batch_norm_statistics, r, form);
  };
  Value stats = graph.add1(
      std::move(statistics), Shape{spec.groups, 2 * xs[-1] + 1}, DType::kF64);
  if (running && running_mean)
    running_statistics(graph, running(graph, stats), running_mean, running_var,
                       spec.momentum);
  if (combine) stats = combine(graph, stats);

  Node apply;
  apply.op = "batch_norm";
  apply.needs_no_rows = true;  // running statistics move on every process
  apply.inputs = {x, stats, gamma, beta};
  if (form.running)
    apply.inputs.insert(apply.inputs.end(), {running_mean, running_var});
  if (form.residual) apply.inputs.push_back(residual);
  apply.make = [form](const KernelRequest& r) {
    return MUSIC_MAKE(make_batch_norm_apply, r, form);
  };
  apply.backward = [form, combine](Graph& g, const Node& n,
                                   const std::vector<GradientParts>& dy) {
    return gradient(g, n, form, combine, dy);
  };
  std::vector<OutputSpec> outs = {{xs, graph.info(x).dtype},
                                  {Shape{spec.groups, 2, xs[-1]}}};
  if (form.mask)
    outs.push_back({Shape{(xs.elements() + 7) / 8}, DType::kU8});
  return graph.add(std::move(apply), outs)[0];
}

Value batch_norm_inference(Graph& graph, Value x, Value gamma, Value beta,
                           Value running_mean, Value running_var,
                           Value residual, BatchNormSpec spec) {
  check(graph, x, gamma, beta, running_mean, running_var, residual, spec);
  MUSIC_CHECK(running_mean, "[batch_norm] evaluation needs running statistics");
  const BatchNormForm form{spec, bool(residual), true};
  Node node;
  node.op = "batch_norm_inference";
  node.inputs = {x, gamma, beta, running_mean, running_var};
  if (residual) node.inputs.push_back(residual);
  node.in_place = {0};
  node.make = [form](const KernelRequest& r) {
    return MUSIC_MAKE(make_batch_norm_inference, r, form);
  };
  return graph.add1(std::move(node), graph.shape(x), graph.info(x).dtype);
}

}  // namespace music
