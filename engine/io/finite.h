#pragma once
// Whether tensors hold numbers.

#include <optional>
#include <span>
#include <string>

#include "engine/io/safetensors.h"

namespace music {

// "conv1.weight holds a value that is not finite, at element 3" of the first
// such tensor; nothing where all are finite.
std::optional<std::string> not_finite(std::span<const TensorEntry> tensors);

}  // namespace music
