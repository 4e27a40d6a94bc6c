#pragma once
// Trainer: the state of a pre-training run and its one-step advance. What to
// do around steps (logs, checkpoints, signals) is music/train/run.h.
//
// Everything that decides the next step is in step(), the weights, momentum
// and running statistics: a trainer that loads a checkpoint goes on bit for
// bit where the saved one was.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/loader.h"
#include "dist/communicator.h"
#include "dist/threads.h"
#include "engine/optim/schedule.h"
#include "music/config/config.h"
#include "music/files/checkpoint.h"
#include "music/model/encoder_file.h"
#include "music/train/training_step.h"

namespace music {

// What a configuration asks for. classes: of the data's labels; 0: not known
// (a plan), ImageNet's 1000 where the method needs labels.
ModelSpec model_spec(const Config& config, std::int64_t classes = 0);
TrainingStepSpec training_step_spec(const Config& config);

// What a process computes on: of several on one machine each takes the next
// GPU. kUsage as choose_compute() of compute.h.
Compute choose_compute(const TrainConfig& config,
                       const dist::Communicator& communicator);

struct StepReport {
  std::int64_t step = 0;    // this step's number, from 0
  std::int64_t epoch = 0;   // it belongs to
  std::int64_t batch = 0;   // its place in the epoch
  std::int64_t samples = 0;  // of all processes
  double rate = 0;
  StepOutcome outcome;
};

class Trainer {
 public:
  // Throws kUsage when the batch is larger than the data set, or when processes
  // share a GPU that they must not. dataset and communicator (of host memory) must outlive the trainer.
  // Trainers of one communicator are made, and step, together.
  Trainer(const Config& config, const data::Dataset& dataset,
          dist::Communicator& communicator);

  // Records steps on the CPU, their collectives and the wait for their images;
  // null: no more.
  void trace(dist::Timeline* timeline);
  bool done() const { return step_ >= schedule_.total_steps; }
  // Runs the next step; on a GPU the following batch is fetched meanwhile.
  // Throws kNumerical after too many steps in a row whose gradients were not
  // finite, those not counted that a falling loss scale explains.
  StepReport step();

  std::int64_t steps_done() const { return step_; }
  std::int64_t total_steps() const { return schedule_.total_steps; }
  std::int64_t steps_per_epoch() const { return steps_per_epoch_; }
  std::int64_t skipped_steps() const { return skipped_; }

  // Tensors and counters of a checkpoint. The caller adds run id, hashes and
  // byte offsets to the state. The tensors stay until the next call or step.
  CheckpointState state() const;
  std::vector<TensorEntry> tensors();
  // On the CPU, while TrainingStep is still: those before the step that runs.
  std::vector<TensorEntry> tensors_before_step();
  void when_still(std::function<void(bool)> call) {
    training_step_->when_still(std::move(call));
  }
  // bad_images: samples this run could not read before. Throws kNoCheckpoint
  // naming a tensor that does not fit.
  void restore(const Checkpoint& checkpoint,
               std::span<const std::int64_t> bad_images);

  // Gives what rank 0 restored, or not, to the other ranks. All together.
  void follow_first_rank();
  // Throws kNumerical on all ranks when one has other weights than rank 0, and
  // names it. All together.
  void compare_weights();

  EncoderInfo encoder_info() const;
  // All of the encoder's parameters are.
  bool encoder_frozen() const;
  // The schedule's rate where it moves something, otherwise the highest that
  // does.
  double rate_of(const UpdateKnobs& knobs, double scheduled) const;
  // The highest of this run; of a warm-up that is longer than it, the last.
  double peak_rate() const;
  // Of a run of so many epochs.
  Schedule schedule_of(std::int64_t epochs) const {
    return {config_.optim.schedule, steps_per_epoch_, epochs};
  }
  // What `schedule` says of a step, as rate_of() has it.
  double rate_at(const Schedule& schedule, std::int64_t step) const;
  // Its num_batches_tracked: of the file it was started from, and since.
  std::int64_t encoder_batches() const;
  void save_weights(const std::filesystem::path& directory,
                    std::map<std::string, std::string> provenance) const;

  Model& model() { return *model_; }
  const Model& model() const { return *model_; }
  const Schedule& schedule() const { return schedule_; }
  const data::Loader& loader() const { return *loader_; }
  TrainingStep::Memory memory() const { return training_step_->memory(); }
  const Compute& compute() const { return compute_; }
  // Hash of the file that model.weights names, XXH3-128; "" where there is none.
  const std::string& weights() const { return weights_; }
  // Of this process, set when the trainer was made.
  const dist::Threads& threads() const { return threads_; }

 private:
  struct Scalars;
  Scalars scalars() const;
  void set_scalars(const Scalars& s);
  void start_from(const std::string& weights);
  dist::Communicator& exchange();
  void fetch();
  void seek();
  std::int64_t parts_done() const;
  std::int64_t new_batches() const;

  Config config_;
  dist::Communicator& communicator_;
  Needs needs_;
  Compute compute_;
  dist::Threads threads_;
  std::unique_ptr<dist::Communicator> between_devices_;
  Schedule schedule_;
  std::int64_t steps_per_epoch_ = 0;
  std::unique_ptr<Model> model_;
  std::string weights_;
  std::int64_t batches_before_ = 0;  // num_batches_tracked of that file
  std::unique_ptr<TrainingStep> training_step_;
  std::unique_ptr<data::Loader> loader_;
  std::unique_ptr<HostParameters> saved_;  // what tensors() points to
  StepReport next_;       // of the batch that is staged
  bool fetched_ = false;
  dist::Timeline* timeline_ = nullptr;
  std::int64_t step_ = 0;
  std::int64_t skipped_ = 0, skipped_in_a_row_ = 0;
  std::vector<std::int64_t> known_bad_;  // images, before this start
};

}  // namespace music
