#pragma once
// One optimisation step: pixels of both views in, updated weights out. Holds
// the executables of every batch size that occurs (a full batch, the short last
// one), over one arena.

#include <cstdint>
#include <map>
#include <memory>

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
  // batch_sizes: samples, each size that run() will see. model must outlive it.
  TrainingStep(Model& model, const TrainingStepSpec& spec,
               std::initializer_list<std::int64_t> batch_sizes,
               ExecutableOptions options);

  // pixels u8 [2n, size, size, 3]. A loss or gradient that is not finite
  // leaves weights and momentum alone (running statistics have moved).
  StepOutcome run(const void* pixels, std::int64_t n, double rate);

  // Without the optimiser: gradients stay in the model's gradient block.
  StepOutcome forward_backward(const void* pixels, std::int64_t n);
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
  };
  bool gradients_finite() const;

  Model& model_;
  std::map<std::int64_t, Prepared> prepared_;
  Buffer arena_, workspace_;
  std::unique_ptr<Optimizer> optimizer_;
};

}  // namespace music
