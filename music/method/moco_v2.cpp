#include "music/method/moco_v2.h"

#include <cmath>

#include "engine/ops/contrastive.h"
#include "engine/ops/inner.h"
#include "engine/ops/l2_normalize.h"
#include "engine/ops/linear.h"
#include "engine/ops/push_rows.h"
#include "engine/ops/rows.h"
#include "music/method/parts.h"

namespace music {

std::vector<Setting<MocoV2Settings>> MocoV2::settings() {
  return {
      {.name = "temperature", .field = MUSIC_FIELD(temperature),
       .help = "of the similarities", .min = 1e-4},
      {.name = "target_momentum", .field = MUSIC_FIELD(target_momentum),
       .help = "momentum of the key network", .min = 0, .max = 1},
      {.name = "queue", .field = MUSIC_FIELD(queue),
       .help = "keys of earlier batches; a multiple of train.batch", .min = 1,
       .max = 1 << 24},
      {.name = "group", .field = MUSIC_FIELD(group),
       .help = "samples that a batch norm takes its statistics of, others for "
               "keys than for queries; 0 = the whole batch for both", .min = 0},
      {.name = "symmetric", .field = MUSIC_FIELD(symmetric),
       .help = "both views are queries, in place of view 1"},
  };
}

void MocoV2::check(const Settings& s, const HeadSizes& sizes,
                   std::vector<std::string>&) {
  const std::int64_t keys = (s.symmetric ? 2 : 1) * sizes.samples;
  if (s.queue % keys != 0)
    throw error(ExitCode::kUsage,
                "[config] moco_v2.queue of {} keys and {} keys a batch ({}"
                "train.batch): expected a multiple", s.queue, keys,
                s.symmetric ? "moco_v2.symmetric: twice " : "");
  if (s.group > 0 && sizes.samples % s.group != 0)
    throw error(ExitCode::kUsage,
                "[config] moco_v2.group of {} samples and train.batch of {}: "
                "expected a divisor, or 0", s.group, sizes.samples);
}

MocoV2::MocoV2(Parameters& parameters, const Settings& settings,
               const HeadSizes& sizes)
    : settings_(settings),
      projector_(parameters, "projector", sizes.features,
                 {.widths = sizes.projector, .norm = false, .last_bias = true}),
      queue_(parameters.add_buffer("queue.keys",
                                   {settings.queue, projector_.units()},
                                   Init::unit_rows())),
      position_(parameters.add_buffer("queue.position", {1}, 0)) {
  parameters.with_target();
}

// Unit rows of queries and of keys; view by view.
std::vector<Value> MocoV2::embed(Graph& g, const ResNet& encoder,
                                 const Inputs& inputs,
                                 ForwardMode mode) const {
  const std::int64_t n = g.shape(inputs.images)[0] / 2;
  ForwardMode query = mode, key = mode;
  query.groups = key.groups = 1;
  key.target = true;
  // Sample i of the batch is in group i / group of the keys, and in group
  // i mod groups of the queries. A process has every size-th sample: its queries
  // are whole groups, its keys the same share of each.
  std::int64_t mine = 1;  // groups of queries of this process
  if (settings_.group > 0) {
    if (inputs.batch.samples % settings_.group != 0)
      throw error(ExitCode::kUsage,
                  "[moco_v2] {} samples pass the network at once "
                  "(train.batch or train.micro_batch), in groups of moco_v2.group = {}: expected "
                  "a multiple, or moco_v2.group = 0", inputs.batch.samples,
                  settings_.group);
    const std::int64_t groups = inputs.batch.samples / settings_.group;
    const std::int64_t size =
        inputs.batch.communicator ? inputs.batch.communicator->size() : 1;
    if (settings_.group % size != 0 || groups % size != 0)
      throw error(ExitCode::kUsage,
                  "[moco_v2] {} processes and {} groups of moco_v2.group = {} "
                  "samples at once: expected a divisor of both, or "
                  "moco_v2.group = 0", size, groups, settings_.group);
    mine = groups / size;
    query.groups = static_cast<int>(mine);
    query.own_groups = true;
    key.groups = static_cast<int>(groups);
  }
  const auto rows = [&](Value images, const ForwardMode& m) {
    return l2_normalize(
        g, projector_.forward(g, encoder.forward(g, images, m), m));
  };
  const auto view = [&](std::int64_t v) {
    return slice_rows(g, inputs.images, v * n, n);
  };
  const auto queries = [&](Value images) {
    if (mine == 1) return rows(images, query);
    return interleave_rows(g, rows(interleave_rows(g, images, mine), query),
                           n / mine);
  };
  const auto keys = [&](Value images) { return rows(images, key); };
  const Value first = view(0), second = view(1);
  if (!settings_.symmetric) return {queries(first), keys(second)};
  return {concat_rows(g, {queries(first), queries(second)}),
          concat_rows(g, {keys(second), keys(first)})};
}

Objective MocoV2::objective(Graph& g, std::span<const Value> embedded,
                            const Inputs& inputs) const {
  const Value q = embedded[0], k = embedded[1];
  const double rows = (settings_.symmetric ? 2 : 1) *
                      static_cast<double>(inputs.batch.samples);
  const ContrastiveValues v = queue_contrastive(
      g, row_inner(g, q, k), linear(g, q, g.buffer(queue_), Value{}),
      settings_.temperature, 1 / rows);
  return sum_of_shares(
      g, v.loss, inputs.batch,
      {{"correct", over_processes(g, v.correct, inputs.batch)},
       spread_of(g, k, inputs.batch)});
}

void MocoV2::finish(Graph& g, std::span<const Value> embedded,
                    const Inputs& inputs) const {
  const std::int64_t views = settings_.symmetric ? 2 : 1;
  const std::int64_t n = g.shape(embedded[1])[0] / views;
  Value keys = rows_of_batch(g, slice_rows(g, embedded[1], 0, n), inputs.batch);
  if (views == 2)
    keys = concat_rows(
        g, {keys, rows_of_batch(g, slice_rows(g, embedded[1], n, n),
                                inputs.batch)});
  push_rows(g, g.buffer(queue_), g.buffer(position_), keys);
}

UpdateKnobs MocoV2::knobs(const Position& position, double rate) const {
  UpdateKnobs knobs = Method::knobs(position, rate);
  knobs.target_momentum = static_cast<float>(settings_.target_momentum);
  return knobs;
}

Report MocoV2::report(const Readings& readings, double total,
                      std::int64_t samples) const {
  const double rows = (settings_.symmetric ? 2 : 1) *
                      static_cast<double>(samples);
  const double accuracy =
      static_cast<double>(*readings.at("correct").f32()) / rows;
  const double classes = static_cast<double>(settings_.queue) + 1;
  Report report = spread_report(readings, total, std::log(classes), 0,
                                {{"accuracy", "health/accuracy", accuracy}});
  report.lines.push_back({"accuracy", accuracy, 1 / classes, 1});
  return report;
}

}  // namespace music
