#include "music/method/simsiam.h"

#include "music/method/parts.h"

namespace music {
namespace {

constexpr int kPredictorGroup = 1;

}  // namespace

std::vector<Setting<SimSiamSettings>> SimSiam::settings() {
  return {
      {.name = "predictor", .field = MUSIC_FIELD(predictor),
       .help = "width of the predictor's hidden layer", .min = 1},
      {.name = "fixed_rate", .field = MUSIC_FIELD(fixed_rate),
       .help = "the predictor's learning rate stays at its peak, warm-up and "
               "decay are for the rest"},
  };
}

SimSiam::SimSiam(Parameters& parameters, const Settings& settings,
                 const HeadSizes& sizes)
    : settings_(settings),
      projector_(parameters, "projector", sizes.features,
                 {.widths = sizes.projector,
                  .bias = false,
                  .last_norm = HeadSpec::LastNorm::kPlain}),
      predictor_(parameters, "predictor", projector_.units(),
                 {.widths = {settings.predictor, projector_.units()},
                  .bias = false,
                  .last_bias = true}) {
  put_in_group(parameters, "predictor.", kPredictorGroup);
}

std::vector<Value> SimSiam::embed(Graph& g, const ResNet& encoder,
                                  const Inputs& inputs,
                                  ForwardMode mode) const {
  const Value h = encoder.forward(g, inputs.images, mode);
  const Value z = projector_.forward(g, h, mode);
  return {predictor_.forward(g, z, mode), z};
}

Objective SimSiam::objective(Graph& g, std::span<const Value> embedded,
                             const Inputs& inputs) const {
  const Value p = embedded[0], z = embedded[1];
  const double n = static_cast<double>(inputs.batch.samples);
  return sum_of_shares(g, times(g, cosines(g, p, swap_views(g, z)), -0.5 / n),
                       inputs.batch, {spread_of(g, z, inputs.batch)});
}

UpdateKnobs SimSiam::knobs(const Position& position, double rate) const {
  UpdateKnobs knobs = Method::knobs(position, rate);
  if (settings_.fixed_rate)
    knobs.rates[kPredictorGroup] = static_cast<float>(position.peak_rate);
  return knobs;
}

Report SimSiam::report(const Readings& readings, double total,
                       std::int64_t) const {
  return spread_report(readings, total, 0, -1);
}

}  // namespace music
