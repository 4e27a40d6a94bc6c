#include "music/method/supervised.h"

#include <algorithm>
#include <cmath>

#include "engine/ops/cross_entropy.h"
#include "engine/ops/linear.h"
#include "engine/ops/reduce.h"
#include "engine/ops/reshape.h"
#include "engine/ops/rows.h"
#include "engine/ops/top_hits.h"
#include "music/method/parts.h"

namespace music {
namespace {

constexpr int kFirstGroup = 1;  // of the classifiers
constexpr std::size_t kMostClassifiers = kMostGroups - kFirstGroup;
constexpr double kHeadDeviation = 0.01;  // initial weights

using Settings = SupervisedSettings;

// One element even where nothing is set: that is the optimiser's.
std::vector<std::optional<double>> or_none(const std::vector<double>& list) {
  if (list.empty()) return {std::nullopt};
  return {list.begin(), list.end()};
}

void check_distinct(const std::vector<double>& list, const char* key) {
  for (std::size_t i = 0; i < list.size(); ++i)
    if (std::ranges::count(list, list[i]) > 1)
      throw error(ExitCode::kUsage,
                  "[config] {} has {} twice: expected different ones", key,
                  list[i]);
}

Value joined(Graph& g, const std::vector<Value>& parts) {
  return parts.size() == 1 ? parts[0] : concat_rows(g, parts);
}

}  // namespace

std::vector<Setting<SupervisedSettings>> Supervised::settings() {
  return {
      {.name = "encoder", .field = MUSIC_WORDS(encoder, "trained", "frozen"),
       .help = "the encoder is trained too, or frozen and in evaluation mode"},
      {.name = "encoder_rate", .field = MUSIC_FIELD(encoder_rate),
       .help = "times the learning rate, for the encoder", .min = 0},
      {.name = "head_rate", .field = MUSIC_FIELD(head_rate),
       .help = "times the learning rate, for the classifier", .min = 0},
      {.name = "batch_norm", .field = MUSIC_WORDS(batch_norm, "shared", "own"),
       .help = "an encoder that is trained normalises a batch by the statistics "
               "of all its samples, or each process by those of its own, which "
               "is not the same with several", .added = true},
      {.name = "features", .field = MUSIC_WORDS(features, "pooled", "res5"),
       .help = "what is classified: the encoder's output, or its last map in "
               "2 x 2 windows (four times as many numbers)",
       .added = true},
      {.name = "head", .field = MUSIC_WORDS(head, "linear", "batch_norm"),
       .help = "the classifier: a linear layer, or a batch norm before one, "
               "without weight decay on its parameters",
       .added = true},
      {.name = "rates", .field = MUSIC_FIELD(rates),
       .help = "learning rates at the schedule's peak, whatever the batch, of "
               "classifiers that are trained beside each other on a frozen "
               "encoder; [] = one, with that of optim",
       .min = 0, .above = true, .added = true},
      {.name = "decays", .field = MUSIC_FIELD(decays),
       .help = "weight decays of such classifiers, each with each of the rates; "
               "[] = that of optim",
       .min = 0, .added = true},
  };
}

void Supervised::check(const Settings& settings, const HeadSizes&,
                       std::vector<std::string>&) {
  const bool frozen = settings.encoder == Settings::Encoder::kFrozen;
  if (frozen && settings.encoder_rate != 1)
    throw error(ExitCode::kUsage,
                "[config] supervised.encoder_rate is {}, and supervised.encoder "
                "is \"frozen\", which has no rate: expected one of the two",
                settings.encoder_rate);
  if (settings.encoder == Settings::Encoder::kFrozen &&
      settings.batch_norm == Settings::Statistics::kOwn)
    throw error(ExitCode::kUsage,
                "[config] supervised.batch_norm is \"own\", and supervised.encoder "
                "is \"frozen\", which takes no statistics: expected one of the "
                "two");
  check_distinct(settings.rates, "supervised.rates");
  check_distinct(settings.decays, "supervised.decays");
  const std::size_t count =
      or_none(settings.rates).size() * or_none(settings.decays).size();
  if (count > 1 && !frozen)
    throw error(ExitCode::kUsage,
                "[config] {} classifiers would train one encoder: expected "
                "supervised.encoder \"frozen\", or one of supervised.rates and "
                "supervised.decays", count);
  if (count > kMostClassifiers)
    throw error(ExitCode::kUsage,
                "[config] {} classifiers by supervised.rates and "
                "supervised.decays: expected at most {}", count,
                kMostClassifiers);
  // One that grew without bound would end the run of all.
  for (const double rate : settings.rates)
    for (const double decay : settings.decays)
      if (rate * settings.head_rate * decay >= 2)
        throw error(ExitCode::kUsage,
                    "[config] supervised.rates {} and supervised.decays {}: a "
                    "product of 2 or more only grows, expected less", rate,
                    decay);
}

Supervised::Supervised(Parameters& parameters, const Settings& settings,
                       const HeadSizes& sizes)
    : settings_(settings) {
  if (sizes.classes < 2)
    throw error(ExitCode::kUsage,
                "[supervised] data with {} classes: expected labels of at least "
                "2", sizes.classes);
  if (settings.encoder == Settings::Encoder::kFrozen)
    for (int i = 0; i < static_cast<int>(parameters.table().size()); ++i)
      parameters.freeze(i);
  const auto rates = or_none(settings.rates), decays = or_none(settings.decays);
  const bool one = rates.size() * decays.size() == 1;
  // That of a map is a convolution's, so that files have PyTorch's order.
  const Shape shape = settings.features == Settings::Features::kPooled
                          ? Shape{sizes.classes, sizes.features}
                          : Shape{sizes.classes, 2, 2, sizes.features};
  Init init = Init::normal(kHeadDeviation);  // all start alike
  for (const auto& rate : rates)
    for (const auto& decay : decays) {
      const int number = static_cast<int>(classifiers_.size());
      const std::string name =
          one ? "classifier" : fmt::format("classifier.{}", number);
      Classifier c;
      if (!one && rate) c.name = fmt::format("lr{}", *rate);
      if (!one && decay)
        c.name += fmt::format("{}wd{}", c.name.empty() ? "" : "_", *decay);
      c.rate = rate, c.decay = decay;
      const int first = static_cast<int>(parameters.table().size());
      if (settings.head == Settings::Head::kBatchNorm) {
        c.norm.emplace(parameters, name + ".norm", sizes.features);
        for (int i = first; i < static_cast<int>(parameters.table().size()); ++i)
          parameters.exempt_from_decay(i);
      }
      c.weight = parameters.add(name + ".weight", shape, init);
      if (number == 0) init.as = c.weight;
      c.bias = parameters.add(name + ".bias", {sizes.classes}, Init::constant(0));
      for (int i = first; i <= c.bias; ++i)
        parameters.set_group(i, kFirstGroup + number);
      classifiers_.push_back(std::move(c));
    }
}

Value Supervised::features(Graph& g, const ResNet& encoder, Value images,
                           ForwardMode mode) const {
  if (settings_.features == Settings::Features::kPooled)
    return encoder.forward(g, images, mode);
  return ResNet::res5(g, encoder.map(g, images, mode));
}

std::vector<Value> Supervised::embed(Graph& g, const ResNet& encoder,
                                     const Inputs& inputs,
                                     ForwardMode mode) const {
  mode.training = settings_.encoder == Settings::Encoder::kTrained;
  mode.own_groups = settings_.batch_norm == Settings::Statistics::kOwn;
  return {features(g, encoder, inputs.images, mode)};
}

Value Supervised::logits(Graph& g, const Classifier& c, Value h,
                         ForwardMode mode) const {
  const DType dtype = g.info(h).dtype;
  if (c.norm) h = c.norm->forward(g, h, mode, false);
  const auto& table = g.parameters().table();
  const std::int64_t n = g.shape(h)[0],
                     classes = table[static_cast<std::size_t>(c.bias)].shape[0],
                     width = table[static_cast<std::size_t>(c.weight)]
                                 .shape.elements() / classes;
  return linear(g, reshape(g, h, {n, width}),
                reshape(g, g.parameter(c.weight, dtype), {classes, width}),
                g.parameter(c.bias, dtype), DType::kF32);
}

std::vector<Method::Classified> Supervised::classify(Graph& g,
                                                     const ResNet& encoder,
                                                     Value images) const {
  const ForwardMode mode{.training = false, .groups = 1};
  const Value h = features(g, encoder, images, mode);
  std::vector<Classified> out;
  for (const Classifier& c : classifiers_)
    out.push_back({c.name, logits(g, c, h, mode)});
  return out;
}

Objective Supervised::objective(Graph& g, std::span<const Value> embedded,
                                const Inputs& inputs) const {
  const Value h = embedded[0];
  const double mine = static_cast<double>(g.shape(h)[0]) /
                      static_cast<double>(inputs.batch.samples);
  const ForwardMode mode{.training = true, .groups = 1,
                         .communicator = inputs.batch.communicator};
  std::vector<Value> shares, hits, hits5;
  for (const Classifier& c : classifiers_) {
    const Value z = logits(g, c, h, mode);
    shares.push_back(times(g, cross_entropy(g, z, inputs.labels), mine));
    hits.push_back(top_hits(g, z, inputs.labels, 1));
    hits5.push_back(top_hits(g, z, inputs.labels, 5));
  }
  const auto of_all = [&](const std::vector<Value>& parts) {
    return over_processes(g, joined(g, parts), inputs.batch);
  };
  std::vector<Reading> readings{{"correct", of_all(hits)},
                                {"correct5", of_all(hits5)}};
  if (shares.size() == 1)
    return sum_of_shares(g, shares[0], inputs.batch, std::move(readings));
  const Value losses = joined(g, shares);
  readings.push_back({"losses", over_processes(g, losses, inputs.batch)});
  return sum_of_shares(g, reduce(g, losses, ReduceKind::kSum), inputs.batch,
                       std::move(readings));
}

UpdateKnobs Supervised::knobs(const Position& position, double rate) const {
  UpdateKnobs knobs = Method::knobs(position, rate * settings_.encoder_rate);
  for (std::size_t i = 0; i < classifiers_.size(); ++i) {
    const Classifier& c = classifiers_[i];
    const double its = c.rate ? *c.rate * position.share : rate;
    knobs.rates[kFirstGroup + i] = static_cast<float>(its * settings_.head_rate);
    if (c.decay)
      knobs.decays[kFirstGroup + i] = {true, static_cast<float>(*c.decay)};
  }
  return knobs;
}

Report Supervised::report(const Readings& readings, double total,
                          std::int64_t samples) const {
  const auto at = [&](const char* name, std::size_t i) {
    return static_cast<double>(readings.at(name).f32()[i]);
  };
  const auto share = [&](const char* name, std::size_t i) {
    return at(name, i) / static_cast<double>(samples);
  };
  // Of several, that with the lowest loss in this batch.
  std::size_t best = 0;
  const bool several = classifiers_.size() > 1;
  for (std::size_t i = 1; i < classifiers_.size(); ++i)
    if (at("losses", i) < at("losses", best)) best = i;
  const double loss = several ? at("losses", best) : total;
  const double accuracy = share("correct", best);
  Report report{
      .loss = loss,
      .gauges = {{"accuracy", "health/accuracy", accuracy},
                 {"accuracy_top5", "", share("correct5", best)}},
      .lines = {{"loss", loss, std::nan(""), 0},
                {"accuracy", accuracy, std::nan(""), 1}},
      .verdict = std::isfinite(total) ? "" : "diverged: the loss is not finite"};
  if (several)
    for (std::size_t i = 0; i < classifiers_.size(); ++i) {
      const std::string& name = classifiers_[i].name;
      report.gauges.push_back({"loss_" + name, "classifiers/loss/" + name,
                               at("losses", i)});
      report.gauges.push_back({"accuracy_" + name, "", share("correct", i)});
    }
  return report;
}

}  // namespace music
