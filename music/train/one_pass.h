#pragma once
// A step in one pass: one graph, whose gradients are added up over the
// processes while backward still runs.

#include <memory>

#include "music/model/model.h"
#include "music/train/step_body.h"

namespace music {

class OnePass final : public StepBody {
 public:
  // All must outlive it.
  OnePass(Model& model, const TrainingStepSpec& spec, std::int64_t samples,
          int phase, const ExecutableOptions& options,
          dist::Communicator* communicator, StepSurroundings& around);

  StepMemory memory() const override;
  void bind(void* arena, void* workspace, void* rows,
            const float* loss_scale) override;
  void set_batch(const void* pixels, const int* labels) override;
  void run(void* stream) override;
  void observe() override;
  const Executable& executable() const override { return *executable_; }

 private:
  const char* category(std::size_t node) const;

  StepSurroundings& around_;
  Value pixels_, labels_, loss_scale_;
  Objective objective_;
  std::size_t loss_begin_ = 0, backward_begin_ = 0;  // nodes
  std::unique_ptr<Executable> executable_;
  dist::GradientReducer::Schedule schedule_;
  void* stream_ = nullptr;  // of this run
};

}  // namespace music
