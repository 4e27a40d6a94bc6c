#include "music/eval/view_pairs.h"

#include <algorithm>

#include "music/eval/feature_executable.h"

namespace music {

FeatureSummary stream_view_pairs(Model& model, const data::Dataset& dataset,
                                 const ViewPairSpec& spec,
                                 const ViewPairSink& sink) {
  FeatureSummary summary;
  summary.width = feature_width(model, FeatureKind::kEmbedding);
  data::LoaderSpec loading;
  loading.augment = spec.augment;
  loading.seed = spec.seed;
  loading.workers = spec.workers;
  // Batches of equal size, as stream_features() has them.
  const std::int64_t batches = (dataset.size() + spec.batch - 1) / spec.batch;
  loading.batch = (dataset.size() + batches - 1) / batches;
  const int size = spec.augment.size;
  FeatureExecutable executable(model, 2 * loading.batch, size, spec.pixels,
                               FeatureKind::kEmbedding);
  data::Loader loader(dataset, loading);
  loader.seek(spec.epoch, 0);
  std::vector<float> rows(
      static_cast<std::size_t>(2 * loading.batch * summary.width));
  for (std::int64_t i = 0; i < loader.batches_per_epoch(); ++i) {
    const data::Batch& b = loader.next();
    executable.run(b.pixels.data, 2 * b.n, rows.data());
    const auto* pixels = b.pixels.as<std::uint8_t>();
    sink({b.n, summary.width,
          {rows.data(), rows.data() + b.n * summary.width},
          b.samples,
          {pixels, pixels + b.n * 3 * size * size}});
    summary.count += b.n;
  }
  summary.bad = loader.quarantine();
  return summary;
}

}  // namespace music
