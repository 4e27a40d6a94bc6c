#pragma once
// Parameters of a network as make_goldens.py fills and names them.

#include <algorithm>
#include <string>
#include <vector>

#include "engine/graph/parameters.h"
#include "tests/support/golden.h"

namespace music::test {

// Our [K,R,S,C] as PyTorch's OIHW; other shapes are the same in both.
inline Dims torch_shape(const Shape& s) {
  if (s.rank() == 4) return {s[0], s[3], s[1], s[2]};
  return {s.dims().begin(), s.dims().end()};
}

inline std::vector<float> in_torch_layout(const Tensor& t) {
  const auto v = t.span<float>();
  const std::vector<float> ours(v.begin(), v.end());
  return t.shape.rank() == 4 ? channels_first(ours, torch_shape(t.shape))
                             : ours;
}

inline void set_from_torch_layout(const Tensor& t, std::vector<float> v) {
  if (t.shape.rank() == 4) v = channels_last(v, torch_shape(t.shape));
  std::copy(v.begin(), v.end(), t.f32());
}

// Values by hash of the name; buffers and momentum as at the start of training.
inline void hash_parameters(Parameters& parameters) {
  parameters.initialise(0);
  for (std::size_t i = 0; i < parameters.table().size(); ++i) {
    const ParameterInfo& p = parameters.table()[i];
    set_from_torch_layout(parameters.value(static_cast<int>(i)),
                          hashed_parameter(p.name, torch_shape(p.shape)));
  }
}

// Hashed images, NHWC; shape is NCHW.
inline std::vector<float> hashed_images(const std::string& name,
                                        const Dims& shape) {
  return channels_last(hashed(name, elements(shape), 4), shape);
}

}  // namespace music::test
