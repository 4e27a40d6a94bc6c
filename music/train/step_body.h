#pragma once
// From a batch to gradients: a training step but for the optimiser, of one
// batch size and phase. In one pass (one_pass.h), or in two with the network's
// activations of a part of the batch only (two_pass.h).

#include <string>
#include <utility>
#include <vector>

#include "dist/gradient_reducer.h"
#include "dist/timeline.h"
#include "engine/graph/executable.h"
#include "music/method/method.h"

namespace music {

// Tells a timeline of the nodes that run one after the other on the CPU.
class NodeTrace {
 public:
  explicit operator bool() const { return timeline_; }
  void set(dist::Timeline* timeline) { timeline_ = timeline; }
  void start() {
    if (timeline_) begin_ = dist::Timeline::Clock::now();
  }
  // category: a literal.
  void add(const Node& node, const char* category) {
    if (!timeline_) return;
    timeline_->add({dist::Timeline::Lane::kCompute, node.op, category, begin_,
                    dist::Timeline::Clock::now(), node.scope, -1});
  }

 private:
  dist::Timeline* timeline_ = nullptr;
  dist::Timeline::Time begin_{};
};

// Where gradients of other processes are added, and nodes are told to.
struct StepSurroundings {
  dist::GradientReducer* reducer = nullptr;  // null: a process on its own
  NodeTrace trace;
};

// Blocks that all bodies of a training step share, one at a time.
struct StepMemory {
  // rows: what two passes keep between them.
  std::size_t arena = 0, workspace = 0, rows = 0;
};

class StepBody {
 public:
  virtual ~StepBody() = default;

  virtual StepMemory memory() const = 0;
  // Before the first run; blocks of that size at least, on the device.
  virtual void bind(void* arena, void* workspace, void* rows,
                    const float* loss_scale) = 0;
  // Where the batch lies, in memory of the device: as TrainingStep::stage().
  virtual void set_batch(const void* pixels, const int* labels) = 0;
  // Queues, on the CPU runs, what leaves the gradients of the whole batch, times
  // the loss scale, in the parameters' gradient block.
  virtual void run(void* stream) = 0;
  // StepSurroundings have changed.
  virtual void observe() = 0;
  // For profiles, of one pass; throws kUsage for two.
  virtual const Executable& executable() const = 0;

  std::size_t pixel_bytes() const { return pixel_bytes_; }
  std::size_t label_bytes() const { return label_bytes_; }  // 0: needs none
  // After a run, the objective's total, then its readings; bound tensors, but
  // that before bind() they have no data.
  using Number = std::pair<std::string, Tensor>;
  const std::vector<Number>& numbers() const { return numbers_; }

 protected:
  // Of an executable that keeps them.
  void note_numbers(const Executable& executable, const Objective& objective);

  std::size_t pixel_bytes_ = 0, label_bytes_ = 0;
  std::vector<Number> numbers_;
};

}  // namespace music
