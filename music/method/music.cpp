#include "music/method/music.h"

#include "music/loss/joint_entropy.h"
#include "music/method/health.h"

namespace music {

Segments make_segments(const MusicSettings& s, std::int64_t units) {
  if (s.segments.empty()) return Segments::equal(units, s.segment);
  Segments segments = Segments::uneven(s.segments);
  if (segments.units() != units)
    throw error(ExitCode::kUsage,
                "[config] loss.segments add up to {} units, the projector "
                "ends in {}: expected the sizes of all segments, or "
                "loss.segment, the one size of equal ones", segments.units(),
                units);
  return segments;
}

std::vector<Setting<MusicSettings>> Music::settings() {
  return {
      {.name = "segment", .field = MUSIC_FIELD(segment),
       .help = "units of a segment (D_S); divides D", .min = 2},
      {.name = "segments", .field = MUSIC_FIELD(segments),
       .help = "sizes of uneven segments, in order; [] = equal ones", .min = 2},
      {.name = "blocks", .field = MUSIC_FIELD(entropy.blocks),
       .help = "weights of the entropies, S x S by rows, in order of the "
               "segments: 1 = independent, 0 = ignored, below 0 = dependent; [] = "
               "all 1", .added = true},
      {.name = "norm", .field = MUSIC_WORDS(entropy.norm, "eq5", "eq3"),
       .help = "weights of the entropy terms: equation 5 or 3 of the paper"},
      {.name = "invariance",
       .field = MUSIC_WORDS(entropy.invariance, "inner", "eq4", "xent", "none"),
       .help = "the invariance term: log of the inner product, equation 4 as "
               "printed, cross-entropy, or none"},
      {.name = "de", .field = MUSIC_FIELD(entropy.de),
       .help = "coefficient of the diagonal entropy"},
      {.name = "oe", .field = MUSIC_FIELD(entropy.oe),
       .help = "coefficient of the off-diagonal entropy"},
      {.name = "ti", .field = MUSIC_FIELD(entropy.ti),
       .help = "coefficient of the invariance term"},
      {.name = "temperature", .field = MUSIC_FIELD(entropy.temperature),
       .help = "temperature of the softmax", .min = 1e-4},
      {.name = "clamp", .field = MUSIC_FIELD(entropy.clamp),
       .help = "lower bound of a probability", .min = 0, .max = 0.1},
      {.name = "scope",
       .field = MUSIC_WORDS(entropy.scope, "global", "local"),
       .help = "joint probabilities over the samples of all processes, or of "
               "each its own (an ablation; the result then depends on their "
               "number)"},
  };
}

void Music::check(const Settings& s, const HeadSizes& sizes,
                  std::vector<std::string>& warnings) {
  if (s.entropy.de == 0 && s.entropy.oe == 0 &&
      (s.entropy.ti == 0 || s.entropy.invariance == Invariance::kNone))
    throw error(ExitCode::kUsage,
                "[config] the loss has no term: loss.de, loss.oe and loss.ti "
                "are 0, expected at least one other than 0");
  try {
    const Segments segments = make_segments(s, sizes.projector.back());
    check_spec(s.entropy, segments.count());
    for (std::int64_t i = 0; i < segments.count(); ++i)
      if (segments.size(i) == 2) {
        warnings.push_back(
            "a segment of 2 units has its optimum at P = 1/e, not at one-hot "
            "codes; use 3 or more");
        break;
      }
  } catch (const Error& e) {
    throw error(e.code(), "{}; model.projector, {}{}", e.what(),
                s.segments.empty() ? "loss.segment" : "loss.segments",
                s.entropy.blocks.empty() ? "" : ", loss.blocks");
  }
}

Music::Music(Parameters& parameters, const Settings& settings,
             const HeadSizes& sizes)
    : ProjectedMethod(parameters, sizes, {.widths = sizes.projector}),
      settings_(settings),
      segments_(make_segments(settings, projector_.units())) {}

Objective Music::objective(Graph& g, std::span<const Value> embedded,
                           const Inputs& inputs) const {
  const JointEntropyValues v =
      joint_entropy(g, embedded[0], segments_, settings_.entropy,
                    inputs.batch, code_type(g));
  return {v.total, v.total, {{"terms", v.terms}, {"mean_q", v.mean_q}}};
}

JointEntropyTerms Music::terms(const Readings& readings) {
  const double* t = readings.at("terms").as<double>();
  return {.de = t[0], .oe = t[1], .ti = t[2], .total = t[3]};
}

const float* Music::mean_q(const Readings& readings) {
  return readings.at("mean_q").f32();
}

Report Music::report(const Readings& readings, double,
                     std::int64_t samples) const {
  const JointEntropyTerms t = terms(readings);
  const Health h = assess(t, samples, segments_, settings_.entropy,
                          mean_q(readings));
  const JointEntropyTerms &start = h.lines.uniform, &best = h.lines.ideal;
  return {
      .loss = t.total,
      .gauges = {{"loss_de", "loss/de", t.de},
                 {"loss_oe", "loss/oe", t.oe},
                 {"loss_ti", "loss/ti", t.ti},
                 {"uniform_de", "", start.de},
                 {"uniform_oe", "", start.oe},
                 {"uniform_ti", "", start.ti},
                 {"best_de", "", best.de},
                 {"best_oe", "", best.oe},
                 {"oe_floor", "", h.lines.oe_floor},
                 {"usage_entropy", "health/usage_entropy", h.usage_entropy},
                 {"usage_entropy_min", "", h.usage_entropy_min},
                 {"agreement", "health/agreement", h.agreement},
                 {"dead_units", "", h.dead_units},
                 {"redundancy", "", h.redundancy}},
      .lines = {{"loss", t.total, start.total, best.total},
                {"DE", t.de, start.de, best.de},
                {"OE", t.oe, start.oe, best.oe},
                {"TI", t.ti, start.ti, best.ti}},
      .verdict = h.verdict};
}

}  // namespace music
