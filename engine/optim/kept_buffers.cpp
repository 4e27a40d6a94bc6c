#include "engine/optim/kept_buffers.h"

#include <cstring>

#include "engine/core/device_runtime.h"

namespace music {

KeptBuffers::KeptBuffers(const Parameters& parameters)
    : device_(parameters.device()) {
  if (parameters.buffers().empty()) return;
  const ParameterInfo& last = parameters.buffers().back();
  buffers_ = parameters.buffer(0).f32();
  elements_ = last.offset + last.shape.elements();
  kept_ = Buffer(static_cast<std::size_t>(elements_) * sizeof(float),
                 memory_of(device_));
}

void KeptBuffers::keep(void* stream) {
  if (kept_.bytes() == 0) return;
  if (device_ == Device::kCuda)
    cuda::copy(kept_.data(), buffers_, kept_.bytes(), stream);
  else
    std::memcpy(kept_.data(), buffers_, kept_.bytes());
}

void KeptBuffers::restore(const UpdateState* state, void* stream) {
  if (kept_.bytes() == 0) return;
  if (device_ == Device::kCuda)
    cuda::restore_buffers(buffers_, kept_.as<const float>(), elements_, state,
                          stream);
  else if (!state->applied)
    std::memcpy(buffers_, kept_.data(), kept_.bytes());
}

}  // namespace music
