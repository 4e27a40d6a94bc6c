#include "music/method/supervised.h"

#include <cmath>

#include "engine/ops/cross_entropy.h"
#include "engine/ops/linear.h"
#include "engine/ops/top_hits.h"
#include "music/method/parts.h"

namespace music {
namespace {

constexpr int kHeadGroup = 1;
constexpr double kHeadDeviation = 0.01;  // initial weights

}  // namespace

std::vector<Setting<SupervisedSettings>> Supervised::settings() {
  return {
      {.name = "encoder", .field = MUSIC_WORDS(encoder, "trained", "frozen"),
       .help = "the encoder is trained too, or frozen and in evaluation mode"},
      {.name = "encoder_rate", .field = MUSIC_FIELD(encoder_rate),
       .help = "times the learning rate, for the encoder", .min = 0},
      {.name = "head_rate", .field = MUSIC_FIELD(head_rate),
       .help = "times the learning rate, for the classifier", .min = 0},
  };
}

Supervised::Supervised(Parameters& parameters, const Settings& settings,
                       const HeadSizes& sizes)
    : settings_(settings) {
  if (sizes.classes < 2)
    throw error(ExitCode::kUsage,
                "[supervised] classes among the labels of the data: {}, expected "
                "at least 2", sizes.classes);
  if (settings.encoder == Settings::Encoder::kFrozen)
    for (int i = 0; i < static_cast<int>(parameters.table().size()); ++i)
      parameters.freeze(i);
  weight_ = parameters.add("classifier.weight", {sizes.classes, sizes.features},
                           Init::normal(kHeadDeviation));
  bias_ = parameters.add("classifier.bias", {sizes.classes}, Init::constant(0));
  parameters.set_group(weight_, kHeadGroup);
  parameters.set_group(bias_, kHeadGroup);
}

std::vector<Value> Supervised::embed(Graph& g, const ResNet& encoder,
                                     const Inputs& inputs,
                                     ForwardMode mode) const {
  mode.training = settings_.encoder == Settings::Encoder::kTrained;
  return {encoder.forward(g, inputs.images, mode)};
}

Objective Supervised::objective(Graph& g, std::span<const Value> embedded,
                                const Inputs& inputs) const {
  const Value h = embedded[0];
  const DType dtype = g.info(h).dtype;
  const Value logits = linear(g, h, g.parameter(weight_, dtype),
                              g.parameter(bias_, dtype), DType::kF32);
  const Value loss = cross_entropy(g, logits, inputs.labels);
  const double mine = static_cast<double>(g.shape(h)[0]) /
                      static_cast<double>(inputs.batch.samples);
  const auto hits = [&](int k) {
    return over_processes(g, top_hits(g, logits, inputs.labels, k),
                          inputs.batch);
  };
  return sum_of_shares(g, times(g, loss, mine), inputs.batch,
                       {{"correct", hits(1)}, {"correct5", hits(5)}});
}

UpdateKnobs Supervised::knobs(const Position& position, double rate) const {
  UpdateKnobs knobs = Method::knobs(position, rate * settings_.encoder_rate);
  knobs.rates[kHeadGroup] = static_cast<float>(rate * settings_.head_rate);
  return knobs;
}

Report Supervised::report(const Readings& readings, double total,
                          std::int64_t samples) const {
  const auto share = [&](const char* name) {
    return static_cast<double>(*readings.at(name).f32()) /
           static_cast<double>(samples);
  };
  const double accuracy = share("correct");
  return {.loss = total,
          .gauges = {{"accuracy", "health/accuracy", accuracy},
                     {"accuracy_top5", "", share("correct5")}},
          .lines = {{"loss", total, std::nan(""), 0},
                    {"accuracy", accuracy, std::nan(""), 1}},
          .verdict = std::isfinite(total) ? ""
                                          : "diverged: the loss is not finite"};
}

}  // namespace music
