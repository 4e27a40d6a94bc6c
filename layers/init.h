#pragma once
// Initial distributions of convolutions and linear layers.

#include "engine/graph/parameters.h"
#include "layers/resnet_spec.h"

namespace music {

// Weight [K,R,S,C]: kaiming_normal(fan_out, relu) = N(0, 2 / (K R S)), or
// PyTorch's default U(+-1/sqrt(fan_in)), fan_in = C R S.
Init conv_init(const Shape& weight, InitScheme scheme);

// PyTorch's default for weight and bias: U(+-1/sqrt(fan_in)).
Init linear_init(std::int64_t fan_in);

}  // namespace music
