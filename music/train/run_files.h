#pragma once
// What rank 0 writes while a run goes on: metrics.jsonl, TensorBoard's events and
// the list of bad images, in the run directory.

#include <memory>
#include <string>
#include <vector>

#include "dist/threads.h"
#include "music/files/metrics.h"
#include "music/files/quarantine.h"
#include "music/files/run_directory.h"
#include "music/files/tensorboard.h"
#include "music/train/trainer.h"

namespace music {

// A step as it is recorded.
struct RunRecord {
  const StepReport& step;
  const Report& report;  // of the method
  double seconds = 0;    // of the run so far
  double images_per_second = 0;
  double data_wait = 0;  // share of the step
  std::int64_t skipped_steps = 0;
};

struct RunFiles {
  RunFiles(const ResolvedConfig& config, const std::vector<std::string>& argv,
           const dist::Threads& threads);
  // The one list of metrics' names, but for the method's own.
  void record(const RunRecord& r);

  RunDirectory directory;
  MetricsWriter metrics;
  Quarantine quarantine;
  std::unique_ptr<TensorBoardWriter> tensorboard;  // once it is known from where
};

}  // namespace music
