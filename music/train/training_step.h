#pragma once
// One optimisation step: pixels of all views in, updated weights out. Holds
// the executables of every batch size that occurs (a full batch, the short last
// one), over one arena, on the device of the model's parameters.
//
// On a GPU a step is one captured graph (MUSIC_CUDA_GRAPH=0: separate launches),
// and the next batch is copied while it runs:
//   step.stage(pixels, n);
//   while (...) {
//     step.submit(rate);                // queued
//     step.wait_staged();               // now the pixels' memory is free
//     step.stage(next_pixels, next_n);  // copied beside the step
//     outcome = step.finish();
//   }

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "dist/gradient_reducer.h"
#include "engine/core/device_runtime.h"
#include "engine/graph/executable.h"
#include "engine/optim/kept_buffers.h"
#include "engine/optim/optimizer.h"
#include "music/model/model.h"
#include "music/model/step_spec.h"
#include "music/train/step_body.h"

namespace music {

class NetworkPasses;

struct StepOutcome {
  double total = 0;      // the loss of the batch
  bool applied = true;   // false: not finite, weights left as they were
  float loss_scale = 1;  // that this step's gradients were multiplied by
  Readings readings;     // of the method
};

class TrainingStep {
 public:
  // batch_sizes: samples of all processes, each size that stage() will see.
  // model, which is allocated, must outlive it; so must communicator, null for
  // a process on its own, else one of tensors on the model's device.
  TrainingStep(Model& model, const TrainingStepSpec& spec,
               const std::vector<std::int64_t>& batch_sizes,
               ExecutableOptions options,
               dist::Communicator* communicator = nullptr);
  ~TrainingStep();

  // The next step's batch: pixels u8 [views * n, size, size, 3] of this
  // process's shard of a batch of `samples`, and its labels [n] where the method
  // needs them, in host memory, page-locked if the copy is to run beside a step.
  // They must stay until wait_staged() on a GPU, until finish() on the CPU.
  void stage(const void* pixels, std::int64_t samples,
             const int* labels = nullptr);
  void wait_staged();
  // Queues the step of the staged batch; on the CPU runs it. phase: of the
  // method (Method::phase).
  void submit(const UpdateKnobs& knobs, int phase = 0);
  void submit(double rate) {
    UpdateKnobs knobs;
    knobs.set_rate(static_cast<float>(rate));
    submit(knobs);
  }
  // Waits for it. All processes end up with the same weights. A loss or gradient
  // that is not finite leaves weights, momentum, running statistics and queues
  // as they were.
  StepOutcome finish();
  // Whether stage() before finish() gains anything.
  bool copies_ahead() const { return device_ == Device::kCuda; }

  StepOutcome run(const void* pixels, std::int64_t samples, double rate,
                  const int* labels = nullptr) {
    stage(pixels, samples, labels);
    submit(rate);
    return finish();
  }
  // Without the optimiser: gradients of the whole batch, times the loss scale,
  // stay in the model's gradient block.
  StepOutcome forward_backward(const void* pixels, std::int64_t samples,
                               const int* labels = nullptr);

  // Loss scale and its count, between steps: part of a checkpoint.
  UpdateState update_state() const;
  void set_update_state(const UpdateState& state);

  // rows: of a step in two passes, with the gradients of its parts.
  using Memory = StepMemory;
  Memory memory() const {
    return {arena_.bytes(), workspace_.bytes(), rows_.bytes()};
  }
  // On the CPU: called with true when forward and backward begin, until which
  // nothing of the step has been written but what kept() has, and with false
  // behind them.
  void when_still(std::function<void(bool)> call) { still_ = std::move(call); }
  const KeptBuffers& kept() const { return *kept_; }
  // Where the nodes of each step on the CPU are recorded; null: nowhere.
  void trace(dist::Timeline* timeline);
  // The executable of a batch size, for profiles.
  const Executable& executable(std::int64_t samples) const;

 private:
  struct Prepared {
    std::unique_ptr<StepBody> body;
    cuda::CapturedGraph graph;
    bool ran = false;  // once as separate launches, which load the kernels
  };
  struct Gpu;  // streams, staged pixels, results
  using PreparedKey = std::pair<std::int64_t, int>;  // samples, phase
  std::unique_ptr<StepBody> make_body(PreparedKey key,
                                      const TrainingStepSpec& spec);
  Prepared& prepared(std::int64_t samples, int phase = 0);
  void queue(Prepared& p, bool update);
  StepOutcome outcome(const Prepared& p) const;
  void* stream() const;  // null on the CPU

  Model& model_;
  Device device_;
  ExecutableOptions options_;
  dist::Communicator* communicator_;  // null: a process on its own
  std::optional<dist::GradientReducer> reducer_;
  dist::Timeline* timeline_ = nullptr;
  StepSurroundings around_;  // of the bodies
  std::shared_ptr<NetworkPasses> passes_;  // null: steps in one pass
  std::map<PreparedKey, Prepared> prepared_;
  Buffer arena_, workspace_, rows_;
  Buffer state_;  // UpdateState, on the device
  std::unique_ptr<Optimizer> optimizer_;
  std::optional<KeptBuffers> kept_;
  std::function<void(bool)> still_;
  std::unique_ptr<Gpu> gpu_;
  const void* staged_ = nullptr;
  const int* staged_labels_ = nullptr;
  std::int64_t staged_samples_ = 0;
  Prepared* submitted_ = nullptr;
  float loss_scale_ = 1;
};

}  // namespace music
