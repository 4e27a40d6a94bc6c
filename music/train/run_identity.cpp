#include "music/train/run_identity.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <span>
#include <utility>

#include "data/label_subset.h"
#include "data/sampler.h"
#include "dist/text.h"
#include "engine/io/file.h"
#include "music/config/config_keys.h"
#include "music/files/build_info.h"
#include "music/model/foreign_weights.h"
#include "music/train/trainer.h"

namespace music {
namespace {

// What a data set is, wherever it lies: number, last part of the name and label
// of every image.
std::string fingerprint(const data::Dataset& dataset) {
  Xxh3 hash;
  for (std::int64_t i = 0; i < dataset.size(); ++i) {
    const std::string name = dataset.name(i);
    const std::string text = fmt::format(
        "{}\n{}\n", name.substr(name.rfind('/') + 1), dataset.label(i));
    hash.update(std::as_bytes(std::span(text)));
  }
  return fmt::format("{} images, {}", dataset.size(),
                     hash.digest().xxh3_128.substr(0, 16));
}

// The images to learn from, or those held out of them.
std::unique_ptr<data::Dataset> open_part(const Config& config, bool held_out) {
  const DataConfig& c = config.data;
  const bool labels = needs_of(config.method).labels || !c.labels.empty();
  refuse_as_images(c.path);
  auto dataset = data::open_dataset(
      c.path, c.format, labels ? data::Split::kTrain : data::Split::kPretrain);
  if (!c.labels.empty()) {
    const std::int64_t all = dataset->size();
    dataset = data::label_subset(std::move(dataset),
                                 data::parse_label_choice(c.labels),
                                 config.train.seed);
    spdlog::info("[labels] {}", data::describe_labels(*dataset, all));
  }
  dataset = data::subset(std::move(dataset), c.limit, config.train.seed);
  if (c.holdout == 0) return dataset;
  if (c.holdout >= dataset->size())
    throw error(ExitCode::kUsage,
                "[data] data.holdout of {} images from {}: expected fewer",
                c.holdout, dataset->size());
  // A key of its own, which no epoch reaches.
  auto order =
      data::permutation(dataset->size(), config.train.seed, 0xFFFFFFFEu);
  const auto cut = order.begin() + c.holdout;
  std::vector<std::uint32_t> numbers(held_out ? order.begin() : cut,
                                     held_out ? cut : order.end());
  std::ranges::sort(numbers);
  return data::pick(std::move(dataset), std::move(numbers));
}

}  // namespace

std::unique_ptr<data::Dataset> open_training_data(const Config& config) {
  return open_part(config, false);
}

std::unique_ptr<data::Dataset> open_held_out(const Config& config) {
  MUSIC_CHECK(config.data.holdout > 0, "[data] nothing is held out");
  return open_part(config, true);
}

ResolvedConfig settled(ResolvedConfig config,
                       const dist::Communicator& communicator) {
  TrainConfig& train = config.value.train;
  const Compute compute = choose_compute(train, communicator);
  const auto settle = [&](const char* key, auto& setting, auto value) {
    if (setting == value) return;
    setting = value;
    config.origins.at(key) += ": auto";
  };
  settle("train.device", train.device,
         compute.device == Device::kCpu ? DeviceChoice::kCpu
                                        : DeviceChoice::kCuda);
  settle("train.precision", train.precision, precision_of(compute));
  return config;
}

std::string agreed_fingerprint(const Config& config,
                               const data::Dataset& dataset,
                               dist::Communicator& communicator) {
  // First, because the keys below are this version's.
  const std::pair<std::string, std::string> version[] = {
      {"versions of this program", build_info().describe()}};
  dist::require_agreement(communicator, version);
  const auto hashes =
      dist::all_gather_text(communicator, config_hash(config));
  if (std::ranges::any_of(hashes, [&](auto& h) { return h != hashes[0]; }))
    for (const ConfigKey& key : config_keys()) {
      const std::pair<std::string, std::string> setting[] = {
          {key.name, field_text(key, config)}};
      if (key.decides) dist::require_agreement(communicator, setting);
    }
  const std::pair<std::string, std::string> data[] = {
      {"data", fingerprint(dataset)}};
  dist::require_agreement(communicator, data);
  return data[0].second;
}

}  // namespace music
