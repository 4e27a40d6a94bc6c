// music_features: frozen features of a data set as NumPy files.

#include <spdlog/spdlog.h>

#include <filesystem>
#include <fstream>

#include "engine/core/log.h"
#include "engine/io/npy.h"
#include "engine/io/state_dict.h"
#include "tools/encoder_cli.h"

namespace {

using namespace music;

// The pixels the encoder saw, in order: [count, size, size, 3].
std::vector<std::uint8_t> pixels_of(const data::Dataset& dataset,
                                    const FeatureSpec& spec) {
  data::EvalLoaderSpec loading;
  loading.eval = spec.eval;
  loading.workers = spec.workers;
  data::EvalLoader loader(dataset, loading);
  std::vector<std::uint8_t> pixels;
  while (const data::Batch* b = loader.next()) {
    const auto* p = b->pixels.as<std::uint8_t>();
    pixels.insert(pixels.end(), p, p + b->n * spec.eval.size * spec.eval.size * 3);
  }
  return pixels;
}

int features_main(int argc, char** argv) {
  CLI::App app("Writes frozen features, labels and names of a data set.");
  EncoderOptions options;
  std::string path, out, split = "train";
  std::int64_t limit = 0;
  std::uint64_t seed = 0;
  bool with_pixels = false;
  options.add_to(app);
  app.add_option("--data", path, "images: a folder, a list, shards, CIFAR or STL-10")
      ->required();
  app.add_option("--split", split, "train or test")
      ->check(CLI::IsMember({"train", "test"}));
  app.add_option("--limit", limit, "so many images only, drawn by --seed");
  app.add_option("--seed", seed, "of --limit");
  app.add_option("--out", out, "folder for features.npy [n,d] f32, labels.npy "
                 "[n] i64 (-1: none), files.txt")->required();
  app.add_flag("--pixels", with_pixels,
               "also images.npy u8 [n,size,size,3], as the encoder saw them");
  if (!parse(app, argc, argv)) return 0;
  setup_logging("info");

  const OpenedEncoder encoder = open_encoder(options);
  const auto dataset = data::subset(
      data::open_dataset(path, data::DatasetFormat::kAuto,
                         split == "test" ? data::Split::kTest
                                         : data::Split::kTrain),
      limit, seed);
  const auto model = encoder.random_model(0);
  encoder.load_into(*model);
  const Features f = extract_features(*model, *dataset, encoder.features);
  if (f.bad_images > 0)
    throw error(ExitCode::kData,
                "[features] {} of {} images cannot be read: expected all, so "
                "that rows and names agree", f.bad_images, dataset->size());

  namespace fs = std::filesystem;
  fs::create_directories(out);
  const std::int64_t n = f.count;
  const std::vector<std::int64_t> labels(f.labels.begin(), f.labels.end());
  write_npy<float>(fs::path(out) / "features.npy", {n, f.width}, f.values);
  write_npy<std::int64_t>(fs::path(out) / "labels.npy", {n}, labels);
  std::ofstream files(fs::path(out) / "files.txt");
  for (std::int64_t i = 0; i < n; ++i) files << dataset->name(i) << '\n';
  if (with_pixels) {
    const std::int64_t size = encoder.features.eval.size;
    write_npy<std::uint8_t>(fs::path(out) / "images.npy", {n, size, size, 3},
                            pixels_of(*dataset, encoder.features));
  }
  fmt::print("{}: features of {} images, {} wide\n", out, n, f.width);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, features_main);
}
