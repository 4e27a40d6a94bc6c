#pragma once
// Do an encoder's tensors look like what their names say, and trained?

#include <cstdint>
#include <string>
#include <vector>

namespace music {

// Under torchvision's name, in its layout (convolutions OIHW).
struct NamedTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

// kData, naming the first tensor that holds a NaN or an infinity, and the first
// running variance below zero.
void require_sound(const std::vector<NamedTensor>& tensors,
                   const std::string& file_name);

// Why the weights look as drawn at random, one reason each; empty: they do not.
// batches: the largest num_batches_tracked, -1 where there is none.
std::vector<std::string> signs_of_random(
    const std::vector<NamedTensor>& tensors, std::int64_t batches);

}  // namespace music
