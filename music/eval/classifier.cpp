#include "music/eval/classifier.h"

#include <algorithm>
#include <cmath>

#include "engine/graph/executable.h"

namespace music {
void LogitCounts::add(std::span<const float> z, int label) {
  const float own = z[static_cast<std::size_t>(label)];
  float most = z[0];
  std::int64_t as_large = -1;  // others; NaN stands before all
  for (const float v : z) {
    most = std::max(most, v);
    as_large += !(v < own);
  }
  double sum = 0;
  for (const float v : z) sum += std::exp(static_cast<double>(v) - most);
  loss += std::log(sum) + most - own;
  top1 += as_large < 1;
  top5 += as_large < 5;
}

const ClassifierScore& ClassifierScores::best() const {
  return *std::ranges::max_element(classifiers, {}, &ClassifierScore::top1);
}

ClassifierScores score_classifiers(Model& model, const data::Dataset& dataset,
                                   const FeatureSpec& spec,
                                   dist::Communicator& communicator) {
  // No part is larger than this.
  const std::int64_t batch = std::min(
      spec.batch,
      (dataset.size() + communicator.size() - 1) / communicator.size());
  ClassifierGraph graph =
      model.classifier_graph(batch, spec.eval.size, spec.pixels);
  const auto& classifiers = graph.classifiers;
  MUSIC_CHECK(!classifiers.empty(), "[eval] the method {} has no classifier",
              model.spec().method.name);
  const std::int64_t classes = graph.graph.shape(classifiers[0].logits)[1];
  const Device device = model.parameters().device();
  ExecutableOptions options = executable_options_from_environment();
  options.device = device;
  Executable executable(std::move(graph.graph), model.parameters(), options);
  Buffer arena(executable.arena_bytes(), memory_of(device));
  Buffer workspace(executable.workspace_bytes(), memory_of(device));
  executable.bind(arena.data(), workspace.data());
  const Tensor input = executable.tensor(graph.pixels);
  Buffer pixels(device == Device::kCpu ? 0 : input.bytes(), memory_of(device));
  std::vector<float> logits(static_cast<std::size_t>(batch * classes));

  data::EvalLoaderSpec loading;
  loading.eval = spec.eval;
  loading.batch = batch;
  loading.workers = spec.workers;
  loading.rank = communicator.rank();
  loading.world = communicator.size();
  data::EvalLoader loader(dataset, loading);
  std::int64_t images = 0;
  std::vector<LogitCounts> sums(classifiers.size());
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
    for (std::size_t c = 0; c < classifiers.size(); ++c) {
      download(logits.data(), executable.tensor(classifiers[c].logits).data,
               static_cast<std::size_t>(b->n * classes) * sizeof(float), device);
      for (std::int64_t row = 0; row < b->n; ++row) {
        const auto at = static_cast<std::size_t>(row);
        const int label = b->labels[at];
        if (label < 0 || label >= classes)
          throw error(ExitCode::kData,
                      "[eval] {} has label {}: expected 0 to {}, the classes "
                      "that were trained", dataset.name(b->samples[at]), label,
                      classes - 1);
        sums[c].add({logits.data() + row * classes,
                     static_cast<std::size_t>(classes)}, label);
      }
    }
    images += b->n;
  }

  const LeftOut left_out = gather(LeftOut(loader.quarantine()), communicator);
  std::vector<std::int64_t> counts{images};
  std::vector<double> losses;
  for (const LogitCounts& s : sums) {
    counts.push_back(s.top1);
    counts.push_back(s.top5);
    losses.push_back(s.loss);
  }
  communicator.all_reduce({counts.data(),
                           {static_cast<std::int64_t>(counts.size())},
                           DType::kI64});
  communicator.all_reduce({losses.data(),
                           {static_cast<std::int64_t>(losses.size())},
                           DType::kF64});
  ClassifierScores scores{counts[0], left_out, {}};
  data::check_bad(left_out.count, dataset.size(), loading.bad_share);
  if (scores.images == 0)
    throw error(ExitCode::kData, "[eval] no test image is left: {}",
                describe(left_out, dataset.size(), "test"));
  const double n = static_cast<double>(scores.images);
  for (std::size_t c = 0; c < classifiers.size(); ++c)
    scores.classifiers.push_back(
        {classifiers[c].name,
         100 * static_cast<double>(counts[1 + 2 * c]) / n,
         100 * static_cast<double>(counts[2 + 2 * c]) / n, losses[c] / n});
  return scores;
}

}  // namespace music
