#include "music/method/vicreg.h"

#include <fmt/format.h>

#include <cmath>

#include "music/loss/vicreg.h"

namespace music {

std::vector<Setting<VicregSpec>> Vicreg::settings() {
  return {
      {.name = "invariance", .field = MUSIC_FIELD(invariance),
       .help = "coefficient of the distance between views", .min = 0},
      {.name = "variance", .field = MUSIC_FIELD(variance),
       .help = "coefficient of the hinge on standard deviations", .min = 0},
      {.name = "covariance", .field = MUSIC_FIELD(covariance),
       .help = "coefficient of the covariances", .min = 0},
      {.name = "epsilon", .field = MUSIC_FIELD(epsilon),
       .help = "added to variances", .min = 0, .above = true},
  };
}

void Vicreg::check(const Settings& s, const HeadSizes&,
                   std::vector<std::string>&) {
  if (s.invariance == 0 && s.variance == 0 && s.covariance == 0)
    throw error(ExitCode::kUsage,
                "[config] the loss has no term: vicreg.invariance, "
                "vicreg.variance and vicreg.covariance are 0, expected at least "
                "one above 0");
}

Vicreg::Vicreg(Parameters& parameters, const Settings& settings,
               const HeadSizes& sizes)
    : ProjectedMethod(parameters, sizes, {.widths = sizes.projector}),
      settings_(settings) {}

Objective Vicreg::objective(Graph& g, std::span<const Value> embedded,
                            const Inputs& inputs) const {
  if (inputs.batch.samples < 2)
    throw error(ExitCode::kUsage,
                "[vicreg] a batch of {} sample (the last of an epoch): expected "
                "at least 2, which have a variance; choose another train.batch",
                inputs.batch.samples);
  const VicregValues v = vicreg(g, embedded[0], settings_, inputs.batch);
  return {v.total, v.total, {{"terms", v.terms}, {"deviation", v.deviation}}};
}

Report Vicreg::report(const Readings& readings, double, std::int64_t) const {
  const double* t = readings.at("terms").as<double>();
  const double deviation = mean_of(readings.at("deviation"));
  constexpr double kCollapsed = 0.1;  // the hinge asks for 1
  const double collapse =
      settings_.variance * (1 - std::sqrt(settings_.epsilon));
  return {.loss = t[3],
          .gauges = {{"loss_invariance", "loss/invariance", t[0]},
                     {"loss_variance", "loss/variance", t[1]},
                     {"loss_covariance", "loss/covariance", t[2]},
                     {"deviation", "health/deviation", deviation}},
          .lines = {{"loss", t[3], collapse, 0},
                    {"deviation", deviation, 0, 1}},
          .verdict = verdict_of(
              t[3], deviation < kCollapsed,
              fmt::format("units deviate by {:.2f} over the batch, and the loss "
                          "asks for 1", deviation),
              collapse, 0)};
}

}  // namespace music
