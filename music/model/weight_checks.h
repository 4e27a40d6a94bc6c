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

// How a convolution fits the batch norms on both sides of it, the two inside a
// residual branch: correlation over channels of the running mean behind it with
// its weights times the mean of relu(N(beta, gamma^2)) before it. Networks of
// eight methods, trained for minutes or days, have 0.91 and more in every
// layer; tensors exchanged among equal shapes about 0.
struct NormFit {
  std::string tensor;
  double correlation;
};
// Layers of fewer than 16 channels and such without statistics are left out.
std::vector<NormFit> norm_fits(const std::vector<NamedTensor>& tensors);

// kData where most layers fit badly; else the names of those that do.
std::vector<std::string> require_fit(const std::vector<NamedTensor>& tensors,
                                     const std::string& file_name);

}  // namespace music
