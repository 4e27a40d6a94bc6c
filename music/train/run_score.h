#pragma once
// kNN scores of the encoder while it trains (train.knn_every).

#include "music/eval/eval_data.h"
#include "music/train/run_files.h"
#include "music/train/trainer.h"

namespace music {

class RunScore {
 public:
  // Opens the labelled images. Throws what open_eval_data() does.
  explicit RunScore(const Config& config);
  // Scores the encoder, into the log, eval/knn_during_training.jsonl and
  // TensorBoard.
  void record(Trainer& trainer, RunFiles& files, const Config& config) const;
  // Of a run that goes on: drops scores of later steps than have been done.
  // True where that of the last one is missing.
  static bool lacks(const Trainer& trainer, const RunFiles& files);

 private:
  EvalData data_;
};

}  // namespace music
