#pragma once
// The timeline of a few steps of a run, of all its processes in one file.

#include <optional>
#include <string>

#include "dist/communicator.h"
#include "music/train/trainer.h"

namespace music {

class StepTrace {
 public:
  // The first steps are slower than the rest.
  static constexpr int kWarmUp = 3, kSteps = 3;

  // file: "" traces nothing and costs nothing. Both must outlive the trace.
  // Throws kUsage on a GPU.
  StepTrace(std::string file, Trainer& trainer,
            dist::Communicator& communicator);
  StepTrace(const StepTrace&) = delete;
  ~StepTrace();

  // Before each step; all ranks together.
  void next_step();
  // After the last one: writes what there is. All ranks together.
  void finish();

 private:
  void mark_step();
  void write();

  std::string file_;
  Trainer& trainer_;
  dist::Communicator& communicator_;
  int seen_ = 0;  // steps begun
  std::optional<dist::Timeline> timeline_;
  dist::Timeline::Time step_begin_;
};

}  // namespace music
