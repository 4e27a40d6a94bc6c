#include "music/eval/features.h"

#include "engine/graph/executable.h"

namespace music {

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
  return spec;
}

Features extract_features(Model& model, const data::Dataset& dataset,
                          const FeatureSpec& spec) {
  const std::int64_t batch = std::min(spec.batch, dataset.size());
  FeatureGraph graph = model.feature_graph(batch, spec.eval.size, spec.pixels);
  const Device device = model.parameters().device();
  ExecutableOptions options = executable_options_from_environment();
  options.device = device;
  Executable executable(std::move(graph.graph), model.parameters(), options);
  Buffer arena(executable.arena_bytes(), memory_of(device));
  Buffer workspace(executable.workspace_bytes(), memory_of(device));
  executable.bind(arena.data(), workspace.data());
  const Tensor input = executable.tensor(graph.pixels);
  Buffer pixels(device == Device::kCpu ? 0 : input.bytes(), memory_of(device));

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
    const void* from = b->pixels.data;
    if (device != Device::kCpu) {
      upload(pixels.data(), from, pixels.bytes(), device);
      from = pixels.data();
    }
    executable.set_input(graph.pixels, from);
    executable.run();
    const std::size_t at = features.values.size();
    const auto values = static_cast<std::size_t>(b->n * features.width);
    features.values.resize(at + values);
    download(features.values.data() + at,
             executable.tensor(graph.features).data, values * sizeof(float),
             device);
    features.labels.insert(features.labels.end(), b->labels.begin(),
                           b->labels.begin() + b->n);
    features.count += b->n;
  }
  features.bad_images = static_cast<std::int64_t>(loader.quarantine().size());
  return features;
}

}  // namespace music
