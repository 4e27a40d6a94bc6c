#pragma once
// One optimisation step: pixels of both views in, updated weights out. Holds
// the executables of every batch size that occurs (a full batch, the short last
// one), over one arena.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "dist/gradient_reducer.h"
#include "engine/graph/executable.h"
#include "engine/optim/optimizer.h"
#include "music/model.h"

namespace music {

struct TrainingStepSpec {
  int image_size = 224;
  data::PixelStats pixels;
  Segments segments = Segments::equal(8160, 80);
  JointEntropySpec loss;
  OptimizerSpec optimizer;
};

struct StepOutcome {
  JointEntropyTerms terms;
  bool applied = true;     // false: not finite, weights left as they were
  Tensor mean_q;           // [2,D], valid until the next step
};

class TrainingStep {
 public:
  // batch_sizes: samples of all processes, each size that run() will see. model
  // must outlive it; so must communicator, null for a process on its own.
  TrainingStep(Model& model, const TrainingStepSpec& spec,
               std::initializer_list<std::int64_t> batch_sizes,
               ExecutableOptions options,
               dist::Communicator* communicator = nullptr);

  // pixels u8 [2n, size, size, 3] of this process's shard of a batch of
  // `samples`. All processes end up with the same weights. A loss or gradient that is not finite
  // leaves weights and momentum alone (running statistics have moved).
  StepOutcome run(const void* pixels, std::int64_t samples, double rate);

  // Without the optimiser: gradients of the whole batch stay in the model's
  // gradient block.
  StepOutcome forward_backward(const void* pixels, std::int64_t samples);
  void update(double rate) { optimizer_->step(rate); }

  struct Memory { std::size_t arena, workspace; };
  Memory memory() const { return {arena_.bytes(), workspace_.bytes()}; }
  // The executable of a batch size, for profiles.
  const Executable& executable(std::int64_t n) const;

 private:
  struct Prepared {
    Value pixels;
    JointEntropyValues loss;
    std::unique_ptr<Executable> executable;
    dist::GradientReducer::Schedule schedule;
  };
  bool gradients_finite() const;

  Model& model_;
  std::optional<dist::GradientReducer> reducer_;  // of several processes
  std::map<std::int64_t, Prepared> prepared_;
  Buffer arena_, workspace_;
  std::unique_ptr<Optimizer> optimizer_;
};

}  // namespace music
