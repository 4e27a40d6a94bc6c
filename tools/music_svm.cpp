// music_svm: scores an encoder by linear support vector machines on its frozen
// features, class by class, as PASCAL VOC is scored.

#include <filesystem>
#include <optional>

#include "dist/launch.h"
#include "dist/stacks.h"
#include "engine/core/log.h"
#include "music/eval/voc.h"
#include "tools/score_report.h"
#include "tools/svm_scoring.h"

namespace {

using namespace music;

void add_options(CLI::App& app, SvmOptions& o, bool& json, bool& no_random) {
  o.encoder.add_to(app);
  app.add_option("--data", o.data, "a VOCdevkit or its VOC2007; or labelled images "
                 "with both splits: CIFAR, STL-10, a folder with train/ and val/ or "
                 "test/");
  app.add_option("--train", o.train, "or labelled training images");
  app.add_option("--test", o.test, "and labelled test images");
  app.add_option("--train-set", o.train_set, "of VOC's lists (default: trainval)");
  app.add_option("--test-set", o.test_set, "of VOC's lists (default: test)");
  app.add_option("--features", o.features,
                 "res5: the last map as 2 x 2 means (default); pooled: its mean")
      ->check(CLI::IsMember({"res5", "pooled"}));
  app.add_option("--view", o.view,
                 "squash: all of the image, its aspect lost (default); crop: its "
                 "centre")->check(CLI::IsMember({"squash", "crop"}));
  app.add_option("-C,--costs", o.protocol.costs,
                 "to choose from (default: .01,.1,1,2,5,10,15,20,50,100,1000)")
      ->delimiter(',')->check(CLI::Range(1e-9, 1e9));
  auto* folds =
      app.add_option("--folds", o.protocol.folds, "to choose them by (default: 3)")
          ->check(CLI::Range(2, 100));
  app.add_option("--positive-weight", o.protocol.solver.positive_weight,
                 "of images that show the class (default: 2)")
      ->check(CLI::Range(1e-6, 1e6));
  app.add_option("--tolerance", o.protocol.solver.tolerance,
                 "of the solver (default: 1e-4)")->check(CLI::Range(1e-12, 1.0));
  app.add_option("--iterations", o.protocol.solver.iterations,
                 "of the solver, at most (default: 2000)")
      ->check(CLI::Range(1, 10'000'000));
  app.add_flag("--low-shot", o.low_shot,
               "a few examples a class instead of all training images")
      ->excludes(folds);
  app.add_option("--shots", o.low_shot_spec.positives,
                 "positive examples of --low-shot (default: 1,2,4,8,16,32,64,96)")
      ->delimiter(',')->check(CLI::Range(1, 1'000'000))->needs("--low-shot");
  app.add_option("--shot-negatives", o.low_shot_spec.negatives,
                 "negative ones for each (default: 19)")
      ->check(CLI::Range(1, 1'000'000))->needs("--low-shot");
  app.add_option("--draws", o.low_shot_spec.samples,
                 "of the examples (default: 5)")
      ->check(CLI::Range(1, 1000))->needs("--low-shot");
  app.add_flag("--no-random", no_random, "leave out the random initialisation");
  app.add_option("--seed", o.seed,
                 "of solver and draws, and of the first random initialisation");
  app.add_option("--seeds", o.seeds, "random initialisations, of consecutive seeds")
      ->check(CLI::Range(1, 1000))->excludes("--no-random");
  app.add_option("--progress", o.progress, "auto, bar, plain or none")
      ->check(CLI::IsMember({"auto", "bar", "plain", "none"}));
  app.add_flag("--json", json, "print one JSON object");
}

int svm_main(int argc, char** argv) {
  CLI::App app("Scores an encoder by linear SVMs on its frozen features.");
  SvmOptions o;
  bool json = false, no_random = false;
  add_options(app, o, json, no_random);
  if (!parse(app, argc, argv)) return 0;
  o.random = !no_random;
  std::sort(o.protocol.costs.begin(), o.protocol.costs.end());
  if (o.data.empty() ? o.train.empty() || o.test.empty()
                     : !o.train.empty() || !o.test.empty())
    throw error(ExitCode::kUsage,
                "[cli] expected images to score on: --data, or --train and --test");
  for (const char* set : {"--train-set", "--test-set"})
    if (app.count(set) > 0 && (o.data.empty() || !looks_like_voc(o.data)))
      throw error(ExitCode::kUsage,
                  "[cli] {} is of VOC's lists, and the images are none: expected "
                  "--data VOCdevkit", set);
  const auto communicator = dist::join();
  dist::report_crashes(communicator->rank());
  setup_logging("info", communicator->rank(), communicator->size());
  const auto score = [&] {
    const ScoreRecord record = score_svm(o, *communicator);
    if (communicator->rank() == 0)
      report(record, json, o.encoder.is_run()
                               ? std::optional<std::filesystem::path>(o.encoder.encoder)
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
  return music::run_main(argc, argv, svm_main);
}
