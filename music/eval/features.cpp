#include "music/eval/features.h"

#include <algorithm>

#include "music/eval/feature_executable.h"

namespace music {
namespace {

// [4, C] to [C, 4] in place: channels last to PyTorch's order.
void channels_first(float* row, std::int64_t channels,
                    std::vector<float>& scratch) {
  scratch.assign(row, row + 4 * channels);
  for (std::int64_t c = 0; c < channels; ++c)
    for (std::int64_t p = 0; p < 4; ++p)
      row[4 * c + p] = scratch[static_cast<std::size_t>(p * channels + c)];
}

}  // namespace

data::EvalSpec eval_spec_for(int size) {
  data::EvalSpec spec;
  spec.size = size;
  spec.resize = size <= 64 ? size : (size * 8 + 3) / 7;
  return spec;
}

data::EvalSpec eval_spec_of(const Config& config) {
  data::EvalSpec spec = eval_spec_for(config.augment.size);
  if (config.data.eval_resize > 0) spec.resize = config.data.eval_resize;
  spec.interpolation = config.data.eval_interpolation;
  spec.pillow = config.augment.pillow;
  return spec;
}

std::int64_t feature_width(const Model& model, FeatureKind kind) {
  const ModelSpec& spec = model.spec();
  const std::int64_t channels = spec.encoder.features();
  if (kind == FeatureKind::kPooled) return channels;
  if (kind == FeatureKind::kRes5) return 4 * channels;
  MUSIC_CHECK(spec.head, "[features] embeddings need a head");
  return spec.head->widths.back();
}

FeatureSummary stream_features(Model& model, const data::Dataset& dataset,
                               const FeatureSpec& spec,
                               const FeatureSink& sink) {
  MUSIC_CHECK(spec.world >= 1 && spec.rank >= 0 && spec.rank < spec.world,
              "[features] part {} of {}", spec.rank, spec.world);
  FeatureSummary summary;
  summary.width = feature_width(model, spec.kind);
  data::EvalLoaderSpec loading;
  loading.eval = spec.eval;
  loading.workers = spec.workers;
  loading.rank = spec.rank;
  loading.world = spec.world;
  // The largest part in batches of equal size: a short one costs as much as a
  // whole one.
  const std::int64_t part =
      std::max<std::int64_t>(1, (dataset.size() + spec.world - 1) / spec.world);
  const std::int64_t batches = (part + spec.batch - 1) / spec.batch;
  loading.batch = (part + batches - 1) / batches;
  FeatureExecutable executable(model, loading.batch, spec.eval.size, spec.pixels,
                               spec.kind);
  data::EvalLoader loader(dataset, loading);
  std::vector<float> rows(
      static_cast<std::size_t>(loading.batch * summary.width));
  std::vector<float> scratch;
  while (const data::Batch* b = loader.next()) {
    // A short batch runs at full size: its slot is that large, and the rows
    // behind its end are not read.
    executable.run(b->pixels.data, b->n, rows.data());
    if (spec.kind == FeatureKind::kRes5)
      for (std::int64_t i = 0; i < b->n; ++i)
        channels_first(rows.data() + i * summary.width, summary.width / 4,
                       scratch);
    sink({b->n, summary.width, rows.data(), b->samples, b->labels,
          b->pixels.as<std::uint8_t>()});
    summary.count += b->n;
  }
  summary.bad = loader.quarantine();
  return summary;
}

Features extract_features(Model& model, const data::Dataset& dataset,
                          const FeatureSpec& spec) {
  Features features;
  features.values.reserve(static_cast<std::size_t>(
      (dataset.size() / spec.world + 1) * feature_width(model, spec.kind)));
  const FeatureSummary summary = stream_features(
      model, dataset, spec, [&](const FeatureRows& rows) {
        features.values.insert(features.values.end(), rows.values,
                               rows.values + rows.n * rows.width);
        features.labels.insert(features.labels.end(), rows.labels.begin(),
                               rows.labels.end());
      });
  features.count = summary.count;
  features.width = summary.width;
  features.left_out = summary.bad;
  return features;
}

}  // namespace music
