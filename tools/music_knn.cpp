// music_knn: scores an encoder, or features in files, by nearest neighbours,
// beside chance and the same network at random initialisation.

#include <filesystem>
#include <optional>

#include "dist/launch.h"
#include "dist/stacks.h"
#include "engine/core/log.h"
#include "tools/knn_scoring.h"
#include "tools/score_report.h"

namespace {

using namespace music;
namespace fs = std::filesystem;

void add_options(CLI::App& app, KnnOptions& o, bool& json) {
  o.encoder.add_to(app);
  app.get_option("encoder")->required(false);
  app.add_option("--data", o.data, "labelled images with both splits: CIFAR, STL-10, "
                 "or a folder with train/ and val/ or test/");
  app.add_option("--train", o.train, "labelled training images");
  app.add_option("--test", o.test, "labelled test images");
  auto* features = app.add_option("--features", o.features,
                 "instead of an encoder: a folder with train/ and test/ (or val/), "
                 "in each features.npy and labels.npy");
  auto* train = app.add_option("--train-features", o.train_features,
                               "or the two folders one by one");
  auto* test = app.add_option("--test-features", o.test_features, "");
  train->needs(test), test->needs(train), features->excludes(train);
  app.add_option("-k,--k", o.k, "neighbours that vote, one or more numbers: 20,200")
      ->delimiter(',')->check(CLI::Range(1, 1'000'000));
  app.add_option("-T,--temperature", o.temperatures,
                 "of the vote exp(sim / T), one or more: 0.07,0.1")
      ->delimiter(',')->check(CLI::Range(1e-6, 1e6));
  app.add_option("--random-bank", o.random_bank,
                 "training images for the random initialisation, drawn by --seed; 0: "
                 "no random initialisation (default: a tenth, at least 5000)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--seed", o.seed, "of the first random initialisation");
  app.add_option("--seeds", o.seeds, "random initialisations, of consecutive seeds")
      ->check(CLI::Range(1, 1000));
  app.add_option("--progress", o.progress, "auto, bar, plain or none")
      ->check(CLI::IsMember({"auto", "bar", "plain", "none"}));
  app.add_flag("--json", json, "print one JSON object");
  // What has no meaning for features in files.
  for (const char* name :
       {"encoder", "--prefix", "--report", "--image-size", "--mean", "--std",
        "--resize", "--pillow", "--workers", "--device", "--precision", "--data", "--train",
        "--test", "--random-bank", "--seed", "--seeds"})
    for (CLI::Option* stored : {features, train})
      stored->excludes(app.get_option(name));
}

int knn_main(int argc, char** argv) {
  CLI::App app("Scores an encoder by weighted k-nearest neighbours.");
  KnnOptions o;
  bool json = false;
  add_options(app, o, json);
  if (!parse(app, argc, argv)) return 0;
  o.k_given = app.count("--k") > 0;
  if (!o.stored() && o.encoder.encoder.empty())
    throw error(ExitCode::kUsage,
                "[cli] nothing to score: expected an encoder (a run directory or "
                "a .safetensors), or --features");
  if (!o.stored() && o.data.empty() && (o.train.empty() || o.test.empty()))
    throw error(ExitCode::kUsage,
                "[cli] no images to score on: expected --data, or --train and "
                "--test");
  if (o.seeds > 1 && o.random_bank == 0)
    throw error(ExitCode::kUsage,
                "[cli] --seeds {} and --random-bank 0: expected images for the "
                "random initialisations", o.seeds);
  const auto communicator = dist::join();
  dist::report_crashes(communicator->rank());
  setup_logging("info", communicator->rank(), communicator->size());
  const auto score = [&] {
    const ScoreRecord record = score_knn(o, *communicator);
    if (communicator->rank() > 0) return 0;
    const bool run = !o.stored() && o.encoder.is_run();
    report(record, json, run ? std::optional<fs::path>(o.encoder.encoder)
                             : std::nullopt);
    return 0;
  };
  if (communicator->size() == 1) return score();
  try {
    return score();
  } catch (const Error& e) {
    complain(argv, e.what());
    communicator->abort(e.code());  // the others must not wait for this one
    return static_cast<int>(e.code());
  }
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, knn_main);
}
