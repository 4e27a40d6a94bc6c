#include "music/method/byol.h"

#include <cmath>
#include <numbers>

#include "engine/ops/add.h"
#include "music/method/parts.h"

namespace music {

std::vector<Setting<ByolSettings>> Byol::settings() {
  return {
      {.name = "predictor", .field = MUSIC_FIELD(predictor),
       .help = "width of the predictor's hidden layer", .min = 1},
      {.name = "target_momentum", .field = MUSIC_FIELD(target_momentum),
       .help = "momentum of the target network at the first step; it grows to 1 "
               "as half a cosine", .min = 0, .max = 1},
  };
}

Byol::Byol(Parameters& parameters, const Settings& settings,
           const HeadSizes& sizes)
    : settings_(settings),
      projector_(parameters, "projector", sizes.features, sizes.projector),
      predictor_(parameters, "predictor", projector_.units(),
                 {settings.predictor, projector_.units()}) {
  parameters.with_target();
}

std::vector<Value> Byol::embed(Graph& g, const ResNet& encoder,
                               const Inputs& inputs, ForwardMode mode) const {
  const Value z =
      projector_.forward(g, encoder.forward(g, inputs.images, mode), mode);
  const Value p = predictor_.forward(g, z, mode);
  mode.target = true;
  const Value target =
      projector_.forward(g, encoder.forward(g, inputs.images, mode), mode);
  return {p, target};
}

Objective Byol::objective(Graph& g, std::span<const Value> embedded,
                          const Inputs& inputs) const {
  const Value p = embedded[0], target = embedded[1];
  const double n = static_cast<double>(inputs.batch.samples);
  const double mine = static_cast<double>(g.shape(p)[0]) / 2;
  // |a - b|^2 = 2 - 2 cos(a, b) of unit rows.
  const Value share =
      add(g, times(g, cosines(g, p, swap_views(g, target)), -2 / n),
          g.constant({1}, 4 * mine / n));
  return sum_of_shares(g, share, inputs.batch,
                       {spread_of(g, target, inputs.batch)});
}

UpdateKnobs Byol::knobs(const Position& position, double rate) const {
  UpdateKnobs knobs = Method::knobs(position, rate);
  const double done = static_cast<double>(position.step) /
                      static_cast<double>(position.total_steps);
  knobs.target_momentum = static_cast<float>(
      1 - (1 - settings_.target_momentum) *
              (1 + std::cos(std::numbers::pi * done)) / 2);
  return knobs;
}

Report Byol::report(const Readings& readings, double total,
                    std::int64_t) const {
  return spread_report(readings, total, 4, 0);
}

}  // namespace music
