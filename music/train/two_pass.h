#pragma once
// A step in two passes (music/model/two_pass.h): a batch of any size with the
// network's activations of a part of it.

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "music/model/micro_batches.h"
#include "music/model/model.h"
#include "music/train/step_body.h"

namespace music {

// The network's passes of parts, by shape: one object for all bodies of a
// training step.
class NetworkPasses {
 public:
  struct Pass {
    std::unique_ptr<Executable> forward, backward;  // backward null: not needed
    Value forward_pixels, backward_pixels;
    std::vector<Value> embedded, gradients;
    std::size_t backward_begin = 0;
  };

  // All must outlive it.
  NetworkPasses(Model& model, const TrainingStepSpec& spec,
                const ExecutableOptions& options,
                dist::Communicator* communicator, StepSurroundings& around)
      : model_(model), spec_(spec), options_(options),
        communicator_(communicator), around_(around) {}

  // Makes the pass of a part where there is none yet.
  void add(PartShape part, const ObjectiveGraph& towards);
  StepMemory memory() const;
  // Once, and no more after it.
  void bind(void* arena, void* workspace);
  Pass& at(PartShape part) { return passes_.at(part); }
  // What the last backward pass wrote is added to the gradients.
  void accumulate(void* stream);
  void observe();

 private:
  Model& model_;
  TrainingStepSpec spec_;
  ExecutableOptions options_;
  dist::Communicator* communicator_;
  StepSurroundings& around_;
  std::map<PartShape, Pass> passes_;
  Buffer gradients_;  // of a part, as the parameters' block
  std::unique_ptr<Kernel> add_;
};

class TwoPass final : public StepBody {
 public:
  // All must outlive it.
  TwoPass(Model& model, const TrainingStepSpec& spec, std::int64_t samples,
          int phase, const ExecutableOptions& options,
          dist::Communicator* communicator, StepSurroundings& around,
          std::shared_ptr<NetworkPasses> passes);

  StepMemory memory() const override;
  void bind(void* arena, void* workspace, void* rows,
            const float* loss_scale) override;
  void set_batch(const void* pixels, const int* labels) override;
  void run(void* stream) override;
  void observe() override;
  const Executable& executable() const override;

 private:
  void embed(const MicroBatch& part, void* stream);
  void backward(const MicroBatch& part, void* stream);
  void clear_gradients(void* stream);
  void take_pixels(const MicroBatch& part, void* stream);
  std::byte* at(std::size_t offset) const { return rows_ + offset; }

  Model& model_;
  StepSurroundings& around_;
  std::shared_ptr<NetworkPasses> passes_;
  std::vector<MicroBatch> parts_;
  std::int64_t here_ = 0;  // samples of this process
  int views_ = 0;
  std::size_t sample_bytes_ = 0;  // pixels of a view
  std::vector<EmbeddedRows> of_;
  Value labels_, loss_scale_;
  std::vector<Value> embedded_, gradients_;
  Objective objective_;
  std::unique_ptr<Executable> executable_;  // the objective
  std::optional<TwoPassLayout> layout_;
  std::byte* rows_ = nullptr;
  const void* pixels_ = nullptr;
};

}  // namespace music
