#pragma once
// Scores of the classifier while it trains and at the end (train.score_every):
// log, eval/classifier.jsonl, TensorBoard.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "music/eval/classifier.h"
#include "music/train/run_files.h"
#include "music/train/trainer.h"

namespace music {

// A line of eval/classifier.jsonl.
struct EpochScores {
  std::int64_t epoch = 0, step = 0;  // done
  std::string of;  // the test images and how they are seen, as a hash
  ClassifierScores test;
  std::optional<ClassifierScores> holdout;  // of data.holdout
};

// In the order of epochs; none where there is no such file. Throws kData for
// one that is damaged.
std::vector<EpochScores> read_classifier_scores(
    const std::filesystem::path& run);

class RunClassifier {
 public:
  // Opens the test images: data.eval_test, or else the test split of data.path.
  // Throws what open_eval_data() does. All processes.
  RunClassifier(const Config& config, dist::Communicator& communicator);

  // Scores and records after an epoch; files: of rank 0, else null. A line of
  // the same or a later epoch, of a run that was interrupted, is replaced.
  // Collective.
  void record(Trainer& trainer, RunFiles* files) const;
  // Whether the state a run resumes from still lacks its scores, of these test
  // images and views of them: neither belongs to the run. Collective.
  bool lacks(const Trainer& trainer, const RunFiles* files) const;

 private:
  std::string of() const;

  const Config& config_;
  dist::Communicator& communicator_;
  std::unique_ptr<data::Dataset> test_;
  std::unique_ptr<data::Dataset> holdout_;  // null: there is none
};

}  // namespace music
