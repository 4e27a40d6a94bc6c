#pragma once
// What a training run will take, known before anything is allocated: the model
// is registered and its step recorded and planned, which costs milliseconds.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "music/config/compute.h"
#include "music/model/model.h"
#include "music/model/step_spec.h"

namespace music {

// Bytes of one process, on its device.
struct MemoryPlan {
  std::size_t parameters = 0;      // fp32 values, target, buffers twice
  std::size_t rounded = 0;         // 16-bit copies of values and target
  std::size_t gradients = 0;       // in two passes also those of a part
  std::size_t momentum = 0;
  std::size_t activations = 0;     // the arena
  std::size_t activations_without_reuse = 0;
  std::size_t workspace = 0;       // on a GPU the most that a kernel may take
  std::size_t loss = 0;            // what the loss takes of it
  // In two passes: embeddings of the batch, their gradients and what the
  // objective keeps, pixels of a part.
  std::size_t rows = 0;
  std::size_t pixels = 0;          // a GPU's: this batch and the next
  std::size_t library = 0;         // a GPU's: context, cuDNN, cuBLASLt; typical

  std::size_t total() const {
    return parameters + rounded + gradients + momentum + activations +
           workspace + rows + pixels + library;
  }
};

// batch: samples of this process, one of `processes` with as many each: of them
// the one whose share of the loss takes the most.
MemoryPlan plan_memory(const ModelSpec& model, const TrainingStepSpec& step,
                       std::int64_t batch, const Compute& compute,
                       int processes = 1);

// The largest batch, at least 2, whose plan fits into `bytes`; 0: none. Of a
// method that refuses sizes the largest power of two.
std::int64_t largest_batch(const ModelSpec& model, const TrainingStepSpec& step,
                           const Compute& compute, std::size_t bytes,
                           int processes = 1);

// Memory the process could take now; 0: unknown.
std::size_t available_memory(Device device);

// kUsage, in one line with the largest batch that fits, when the plan does not
// fit into `available` bytes (0: not checked).
void require_memory(const ModelSpec& model, const TrainingStepSpec& step,
                    std::int64_t batch, const Compute& compute,
                    std::size_t available, int processes = 1);

}  // namespace music
