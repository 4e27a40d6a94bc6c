#include "music/method/swav.h"

#include <cmath>

#include "dist/sinkhorn.h"
#include "engine/core/shard.h"
#include "engine/ops/l2_normalize.h"
#include "engine/ops/linear.h"
#include "engine/ops/normalize_rows_in_place.h"
#include "engine/ops/push_rows.h"
#include "engine/ops/rows.h"
#include "engine/ops/soft_cross_entropy.h"
#include "engine/ops/stop_gradient.h"
#include "layers/init.h"
#include "music/method/parts.h"

namespace music {
namespace {

constexpr int kPrototypeGroup = 1;

// What becomes of the queue: rests, is filled, is used.
enum Phase { kRests, kFills, kUsed };

}  // namespace

std::vector<Setting<SwavSettings>> Swav::settings() {
  return {
      {.name = "prototypes", .field = MUSIC_FIELD(prototypes),
       .help = "their number", .min = 2},
      {.name = "epsilon", .field = MUSIC_FIELD(epsilon),
       .help = "smoothness of the codes", .min = 0.02},
      {.name = "iterations", .field = MUSIC_FIELD(iterations),
       .help = "rounds that balance the codes", .min = 1, .max = 100},
      {.name = "temperature", .field = MUSIC_FIELD(temperature),
       .help = "of the similarities", .min = 1e-4},
      {.name = "freeze", .field = MUSIC_FIELD(freeze),
       .help = "epochs before the prototypes begin to learn", .min = 0},
      {.name = "queue", .field = MUSIC_FIELD(queue),
       .help = "embeddings of earlier batches that codes are found with, a view; "
               "a multiple of train.batch; 0 = none", .min = 0,
       .max = 1 << 24},
      {.name = "queue_from", .field = MUSIC_FIELD(queue_from),
       .help = "epoch from which they are kept; used once there are all",
       .min = 0},
  };
}

void Swav::check(const Settings& s, const HeadSizes& sizes,
                 std::vector<std::string>&) {
  if (s.queue % sizes.samples != 0)
    throw error(ExitCode::kUsage,
                "[config] swav.queue of {} embeddings and train.batch of {}: "
                "expected a multiple, or 0", s.queue, sizes.samples);
}

Swav::Swav(Parameters& parameters, const Settings& settings,
           const HeadSizes& sizes)
    : settings_(settings),
      samples_(sizes.samples),
      projector_(parameters, "projector", sizes.features,
                 {.widths = sizes.projector, .last_bias = true}),
      prototypes_(parameters.add("prototypes.weight",
                                 {settings.prototypes, projector_.units()},
                                 linear_init(projector_.units()))) {
  parameters.set_group(prototypes_, kPrototypeGroup);
  if (settings.queue == 0) return;
  for (int v = 0; v < 2; ++v) {
    const std::string name = "queue." + std::to_string(v + 1);
    queue_[v] = parameters.add_buffer(
        name + ".embeddings", {settings.queue, projector_.units()}, 0);
    position_[v] = parameters.add_buffer(name + ".position", {1}, 0);
  }
}

std::vector<Value> Swav::embed(Graph& g, const ResNet& encoder,
                               const Inputs& inputs, ForwardMode mode) const {
  mode.groups = 1;
  const Value h = encoder.forward(g, inputs.images, mode);
  return {l2_normalize(g, projector_.forward(g, h, mode))};
}

Objective Swav::objective(Graph& g, std::span<const Value> embedded,
                          const Inputs& inputs) const {
  const Value z = embedded[0];
  const SharedBatch& batch = inputs.batch;
  const std::int64_t n = g.shape(z)[0] / 2;
  const Value prototypes = g.parameter(prototypes_);
  normalize_rows_in_place(g, prototypes);
  const Value scores = linear(g, z, prototypes, Value{});

  std::vector<Value> codes;
  for (int v = 0; v < 2; ++v) {
    Value rows = slice_rows(g, stop_gradient(g, scores), v * n, n);
    if (inputs.phase == kUsed) {
      // Every process has the whole queue, and its share of it in the codes.
      const int rank = batch.communicator ? batch.communicator->rank() : 0;
      const int size = batch.communicator ? batch.communicator->size() : 1;
      std::int64_t begin = 0;
      for (int r = 0; r < rank; ++r)
        begin += shard_size(settings_.queue, r, size);
      const Value kept = slice_rows(g, g.buffer(queue_[v]), begin,
                                    shard_size(settings_.queue, rank, size));
      rows = concat_rows(g, {rows, stop_gradient(g, linear(g, kept, prototypes,
                                                           Value{}))});
    }
    codes.push_back(slice_rows(
        g, dist::sinkhorn(g, rows, settings_.epsilon, settings_.iterations,
                          batch.communicator), 0, n));
  }
  const Value share = soft_cross_entropy(
      g, scores, concat_rows(g, {codes[1], codes[0]}), settings_.temperature,
      0.5 / static_cast<double>(batch.samples));
  return sum_of_shares(g, share, batch, {spread_of(g, z, batch)});
}

void Swav::finish(Graph& g, std::span<const Value> embedded,
                  const Inputs& inputs) const {
  if (inputs.phase == kRests) return;
  const std::int64_t n = g.shape(embedded[0])[0] / 2;
  for (int v = 0; v < 2; ++v) {
    const Value rows = rows_of_batch(
        g, slice_rows(g, embedded[0], v * n, n), inputs.batch);
    push_rows(g, g.buffer(queue_[v]), g.buffer(position_[v]), rows);
  }
}

UpdateKnobs Swav::knobs(const Position& position, double rate) const {
  UpdateKnobs knobs = Method::knobs(position, rate);
  if (static_cast<double>(position.step) <
      settings_.freeze * static_cast<double>(position.steps_per_epoch))
    knobs.rates[kPrototypeGroup] = 0;
  return knobs;
}

int Swav::phases() const { return settings_.queue > 0 ? kUsed + 1 : 1; }

int Swav::phase(const Position& position) const {
  if (settings_.queue == 0) return kRests;
  const auto first = static_cast<std::int64_t>(
      std::ceil(settings_.queue_from *
                static_cast<double>(position.steps_per_epoch)));
  if (position.step < first) return kRests;
  return (position.step - first) * samples_ < settings_.queue ? kFills : kUsed;
}

Report Swav::report(const Readings& readings, double total,
                    std::int64_t) const {
  return spread_report(readings, total,
                       std::log(static_cast<double>(settings_.prototypes)), 0);
}

}  // namespace music
