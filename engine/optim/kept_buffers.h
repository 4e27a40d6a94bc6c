#pragma once
// Running statistics and queues of a step that does not count. Forward and loss
// write them before it is known whether the update is applied; where it is not
// they become again what they were, so that a value that is not finite outlives
// no step.
//
//   kept.keep(stream);
//   ... forward, loss, backward ...
//   optimizer.step(state, loss, stream);
//   kept.restore(state, stream);

#include "engine/core/buffer.h"
#include "engine/optim/update_state.h"

namespace music {

class KeptBuffers {
 public:
  // parameters, which are allocated, must outlive it.
  explicit KeptBuffers(const Parameters& parameters);
  // On a GPU both are queued, and may be captured.
  void keep(void* stream);
  // state: where the parameters are, of the update of this step.
  void restore(const UpdateState* state, void* stream);
  // What was kept of a buffer.
  Tensor kept(const ParameterInfo& buffer) const {
    return {kept_.as<float>() + buffer.offset, buffer.shape, DType::kF32};
  }

 private:
  Device device_;
  float* buffers_ = nullptr;  // all, one behind the other
  std::int64_t elements_ = 0;
  Buffer kept_;
};

// Body for buffers on a GPU: engine/cuda.
namespace cuda {
// to[i] = from[i] unless state->applied.
void restore_buffers(float* to, const float* from, std::int64_t n,
                     const UpdateState* state, void* stream);
}

}  // namespace music
