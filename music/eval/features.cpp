#include "music/eval/features.h"

#include "engine/graph/executable.h"

namespace music {

data::EvalSpec eval_spec_for(int size) {
  data::EvalSpec spec;
  spec.size = size;
  spec.resize = size <= 64 ? size : (size * 8 + 3) / 7;
  return spec;
}

Features extract_features(Model& model, const data::Dataset& dataset,
                          const FeatureSpec& spec) {
  const std::int64_t batch = std::min(spec.batch, dataset.size());
  FeatureGraph graph = model.feature_graph(batch, spec.eval.size, spec.pixels);
  Executable executable(std::move(graph.graph), model.parameters(),
                        executable_options_from_environment());
  Buffer arena(executable.arena_bytes()), workspace(executable.workspace_bytes());
  executable.bind(arena.data(), workspace.data());

  data::EvalLoaderSpec loading;
  loading.eval = spec.eval;
  loading.batch = batch;
  loading.workers = spec.workers;
  data::EvalLoader loader(dataset, loading);
  Features features;
  features.width = model.spec().encoder.features();
  features.values.reserve(
      static_cast<std::size_t>(dataset.size() * features.width));
  while (const data::Batch* b = loader.next()) {
    // A short batch runs at full size: its slot is that large, and the rows
    // behind its end are not read.
    executable.set_input(graph.pixels, b->pixels.data);
    executable.run();
    const float* f = executable.tensor(graph.features).f32();
    features.values.insert(features.values.end(), f, f + b->n * features.width);
    features.labels.insert(features.labels.end(), b->labels.begin(),
                           b->labels.begin() + b->n);
    features.count += b->n;
  }
  features.bad_images = static_cast<std::int64_t>(loader.quarantine().size());
  return features;
}

}  // namespace music
