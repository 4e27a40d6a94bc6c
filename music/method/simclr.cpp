#include "music/method/simclr.h"

#include <cmath>

#include "dist/gather_rows.h"
#include "engine/ops/contrastive.h"
#include "engine/ops/l2_normalize.h"
#include "engine/ops/linear.h"
#include "engine/ops/rows.h"
#include "music/method/parts.h"

namespace music {

std::vector<Setting<SimClrSettings>> SimClr::settings() {
  return {{.name = "temperature", .field = MUSIC_FIELD(temperature),
           .help = "of the similarities", .min = 1e-4}};
}

SimClr::SimClr(Parameters& parameters, const Settings& settings,
               const HeadSizes& sizes)
    : settings_(settings),
      projector_(parameters, "projector", sizes.features,
                 {.widths = sizes.projector,
                  .bias = false,
                  .last_norm = HeadSpec::LastNorm::kNoBeta}) {}

std::vector<Value> SimClr::embed(Graph& g, const ResNet& encoder,
                                 const Inputs& inputs,
                                 ForwardMode mode) const {
  mode.groups = 1;
  const Value h = encoder.forward(g, inputs.images, mode);
  return {l2_normalize(g, projector_.forward(g, h, mode))};
}

Objective SimClr::objective(Graph& g, std::span<const Value> embedded,
                            const Inputs& inputs) const {
  const Value z = embedded[0];
  const SharedBatch& batch = inputs.batch;
  const std::int64_t n = g.shape(z)[0] / 2;
  ContrastiveSpec spec{.samples = batch.samples,
                       .temperature = settings_.temperature,
                       .weight = 1 / static_cast<double>(batch.samples)};
  Value all = z;
  if (batch.communicator && batch.communicator->size() > 1) {
    spec.first = dist::first_row(*batch.communicator, batch.samples);
    std::vector<Value> views;
    for (const std::int64_t begin : {std::int64_t{0}, n})
      views.push_back(dist::gather_rows(g, slice_rows(g, z, begin, n),
                                        *batch.communicator, batch.samples));
    all = concat_rows(g, views);
  }
  const ContrastiveValues v =
      contrastive(g, linear(g, z, all, Value{}), spec);
  return sum_of_shares(g, v.loss, batch,
                       {{"correct", over_processes(g, v.correct, batch)},
                        spread_of(g, z, batch)});
}

Report SimClr::report(const Readings& readings, double total,
                      std::int64_t samples) const {
  const double rows = 2 * static_cast<double>(samples);
  const double accuracy =
      static_cast<double>(*readings.at("correct").f32()) / rows;
  Report report = spread_report(readings, total, 2 * std::log(rows - 1), 0,
                                {{"accuracy", "health/accuracy", accuracy}});
  report.lines.push_back({"accuracy", accuracy, 1 / (rows - 1), 1});
  return report;
}

}  // namespace music
