// music_shard: packs images into WebDataset tar shards, byte for byte.

#include <spdlog/spdlog.h>

#include <chrono>

#include "data/shard_writer.h"
#include "data/written_name.h"
#include "engine/core/counted.h"
#include "engine/core/log.h"
#include "tools/cli.h"

namespace {

using namespace music;

// A log line now and then.
class Report {
 public:
  explicit Report(std::int64_t images) : images_(images) {}
  void operator()(std::int64_t done) {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::seconds(10)) return;
    last_ = now;
    spdlog::info("[shards] {} of {} images", done, images_);
  }

 private:
  std::int64_t images_;
  std::chrono::steady_clock::time_point last_ =
      std::chrono::steady_clock::now();
};

int shard_main(int argc, char** argv) {
  CLI::App app(
      "Packs images into WebDataset tar shards, which music_train reads as "
      "they are. Image files are stored byte for byte.");
  data::ShardSpec spec;
  std::string path, split = "train", bad_image = "abort";
  std::uint64_t mib = 256;
  bool in_order = false;
  app.add_option("--data", path,
                 "images: a folder, a list, shards, CIFAR or STL-10")
      ->required();
  app.add_option("--split", split,
                 "train, test or pretrain (which in STL-10 is all there is to "
                 "learn from without labels)")
      ->check(CLI::IsMember({"train", "test", "pretrain"}))
      ->capture_default_str();
  app.add_option("--out", spec.out, "folder for the shards")->required();
  app.add_option("--name", spec.name, "shards are NAME-000000.tar, ...; the "
                 "split's name by default");
  app.add_option("--shard-mib", mib, "size of a shard in MiB")
      ->check(CLI::Range(1, 1 << 20))->capture_default_str();
  app.add_option("--seed", spec.seed, "of the shuffle")->capture_default_str();
  app.add_flag("--in-order", in_order, "do not shuffle");
  app.add_option("--bad-image", bad_image,
                 "a file that is no JPEG, PNG or WebP, or cannot be read: abort, or "
                 "skip it")
      ->check(CLI::IsMember({"abort", "skip"}))->capture_default_str();
  if (!parse(app, argc, argv)) return 0;
  setup_logging("info");
  if (data::is_called_a_file(spec.out.string()))
    throw error(ExitCode::kUsage, "[shards] --out {} is the name of a file, expected "
                "that of a folder for the shards", spec.out.string());
  if (app.count("--name") == 0) spec.name = split;
  spec.shard_bytes = mib << 20;
  spec.shuffle = !in_order;
  spec.bad_image =
      bad_image == "skip" ? data::BadImage::kSkip : data::BadImage::kAbort;

  const auto dataset = data::open_dataset(
      path, data::DatasetFormat::kAuto,
      split == "test"    ? data::Split::kTest
      : split == "train" ? data::Split::kTrain
                         : data::Split::kPretrain);
  const data::ShardReport report =
      data::write_shards(*dataset, spec, Report(dataset->size()));
  for (const data::BadSample& bad : report.bad)
    spdlog::warn("[shards] left out {}: {}", bad.name, bad.reason);
  fmt::print("{}: {} in {}, {:.1f} MiB\n", spec.out.string(),
             counted(report.images, "image"), counted(report.shards, "shard"),
             static_cast<double>(report.bytes) / (1 << 20));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, shard_main);
}
