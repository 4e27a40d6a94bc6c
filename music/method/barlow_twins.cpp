#include "music/method/barlow_twins.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "music/loss/barlow_twins.h"

namespace music {

std::vector<Setting<BarlowTwinsSpec>> BarlowTwins::settings() {
  return {
      {.name = "lambda", .field = MUSIC_FIELD(lambda),
       .help = "weight of the correlations that should be 0", .min = 0},
      {.name = "scale", .field = MUSIC_FIELD(scale),
       .help = "times the whole loss", .min = 0, .above = true},
      {.name = "epsilon", .field = MUSIC_FIELD(epsilon),
       .help = "added to variances", .min = 0, .above = true},
  };
}

BarlowTwins::BarlowTwins(Parameters& parameters, const Settings& settings,
                         const HeadSizes& sizes)
    : ProjectedMethod(parameters, sizes,
                      {.widths = sizes.projector, .bias = false}),
      settings_(settings) {}

Objective BarlowTwins::objective(Graph& g, std::span<const Value> embedded,
                                 const Inputs& inputs) const {
  const BarlowTwinsValues v =
      barlow_twins(g, embedded[0], settings_, inputs.batch, code_type(g));
  return {v.total, v.total, {{"terms", v.terms}, {"deviation", v.deviation}}};
}

Report BarlowTwins::report(const Readings& readings, double,
                           std::int64_t) const {
  const double* t = readings.at("terms").as<double>();
  const Tensor& deviation = readings.at("deviation");
  // The loss does not see how much units vary, but for epsilon.
  const double least = 10 * std::sqrt(settings_.epsilon);
  const auto units = deviation.span<float>();
  const auto still = std::ranges::count_if(units, [&](float d) {
    return static_cast<double>(d) < least;
  });
  const double share =
      static_cast<double>(still) / static_cast<double>(units.size());
  // Units that are all alike have every correlation 1, constant ones every 0.
  const double collapse = settings_.scale * static_cast<double>(units.size()) / 2;
  return {.loss = t[2],
          .gauges = {{"loss_on_diagonal", "loss/on_diagonal", t[0]},
                     {"loss_off_diagonal", "loss/off_diagonal", t[1]},
                     {"deviation", "health/deviation", mean_of(deviation)},
                     {"still_units", "", static_cast<std::int64_t>(still)}},
          .lines = {{"loss", t[2], collapse, 0},
                    {"on", t[0], collapse / settings_.scale, 0},
                    {"off", t[1], std::nan(""), 0}},
          .verdict = verdict_of(
              t[2], share > 0.5,
              fmt::format("{:.0f} % of the units hardly vary over the batch",
                          100 * share),
              // Unrelated views: the diagonal is 0.
              2 * collapse, 0)};
}

}  // namespace music
