#include "music/method/parts.h"

#include <fmt/format.h>

#include <cmath>

#include "dist/gather_rows.h"
#include "dist/sum_over_ranks.h"
#include "engine/ops/column_deviation.h"
#include "engine/ops/inner.h"
#include "engine/ops/l2_normalize.h"
#include "engine/ops/rows.h"
#include "engine/ops/scale.h"
#include "engine/ops/stop_gradient.h"

namespace music {

ProjectedMethod::ProjectedMethod(Parameters& parameters, const HeadSizes& sizes,
                                 const HeadSpec& head)
    : projector_(parameters, "projector", sizes.features, head) {}

std::vector<Value> ProjectedMethod::embed(Graph& g, const ResNet& encoder,
                                          const Inputs& inputs,
                                          ForwardMode mode) const {
  const Value h = encoder.forward(g, inputs.images, mode);
  return {projector_.forward(g, h, mode)};
}

Value over_processes(Graph& g, Value x, const SharedBatch& batch) {
  if (!batch.communicator || batch.communicator->size() == 1) return x;
  return dist::sum_over_ranks(g, x, *batch.communicator);
}

Objective sum_of_shares(Graph& g, Value share, const SharedBatch& batch,
                        std::vector<Reading> readings) {
  return {share, over_processes(g, share, batch), std::move(readings)};
}

void put_in_group(Parameters& parameters, const std::string& prefix,
                  int group) {
  for (int i = 0; i < static_cast<int>(parameters.table().size()); ++i)
    if (parameters.table()[static_cast<std::size_t>(i)].name.starts_with(prefix))
      parameters.set_group(i, group);
}

DType code_type(const Graph& graph) {
  return graph.parameters().storage().compute == DType::kF32 ? DType::kF32
                                                             : DType::kF16;
}

Value times(Graph& g, Value x, double factor) {
  return scale(g, x, g.constant({1}, factor));
}

Value rows_of_batch(Graph& g, Value rows, const SharedBatch& batch) {
  if (!batch.communicator || batch.communicator->size() == 1) return rows;
  const Value all =
      dist::gather_rows(g, rows, *batch.communicator, batch.samples);
  // Process r has the samples r, r + size, ...: `each` of them, and one more
  // where r is less than `more`.
  const std::int64_t size = batch.communicator->size();
  const std::int64_t each = batch.samples / size, more = batch.samples % size;
  if (more == 0) return interleave_rows(g, all, each);
  std::vector<Value> first, last;
  for (std::int64_t r = 0, begin = 0; r < size; ++r) {
    if (each > 0) first.push_back(slice_rows(g, all, begin, each));
    begin += each;
    if (r < more) last.push_back(slice_rows(g, all, begin++, 1));
  }
  if (each > 0)
    last.insert(last.begin(),
                interleave_rows(g, concat_rows(g, first), each));
  return concat_rows(g, last);
}

Value swap_views(Graph& g, Value x) {
  const std::int64_t n = g.shape(x)[0] / 2;
  return concat_rows(g, {slice_rows(g, x, n, n), slice_rows(g, x, 0, n)});
}

Value cosines(Graph& g, Value p, Value z) {
  return inner(g, l2_normalize(g, p), l2_normalize(g, stop_gradient(g, z)));
}

Reading spread_of(Graph& g, Value z, const SharedBatch& batch) {
  return {"spread", column_deviation(g, l2_normalize(g, stop_gradient(g, z)),
                                     dist::over_ranks(batch.communicator))};
}

double mean_of(const Tensor& reading) {
  double sum = 0;
  for (const float x : reading.span<float>()) sum += static_cast<double>(x);
  return sum / static_cast<double>(reading.shape.elements());
}

std::string verdict_of(double total, bool collapsed, const std::string& how,
                       double nothing, double best) {
  if (!std::isfinite(total)) return "diverged: the loss is not finite";
  if (collapsed) return "collapsed: " + how;
  constexpr double kSignal = 0.01;
  return nothing - total < kSignal * (nothing - best)
             ? fmt::format("no signal: the loss is {:.4g}, and {:.4g} that of "
                           "embeddings that say nothing", total, nothing)
             : "healthy";
}

Report spread_report(const Readings& readings, double total, double collapse,
                     double best, std::vector<Gauge> gauges) {
  const Tensor& deviation = readings.at("spread");
  const double spread =
      mean_of(deviation) *
      std::sqrt(static_cast<double>(deviation.shape.elements()));
  constexpr double kCollapsed = 0.1;
  gauges.push_back({"spread", "health/spread", spread});
  return {.loss = total,
          .gauges = std::move(gauges),
          .lines = {{"loss", total, collapse, best}, {"spread", spread, std::nan(""), 1}},
          .verdict = verdict_of(
              total, spread < kCollapsed,
              fmt::format("the embeddings spread over {:.0f} % of what they "
                          "could", 100 * spread),
              collapse, best)};
}

}  // namespace music
