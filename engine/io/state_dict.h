#pragma once
// Parameters to and from files under PyTorch's conventions: convolution weights
// OIHW (ours are [K,R,S,C]), running statistics beside them, and for every
// batch-norm an int64 scalar num_batches_tracked.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/core/buffer.h"
#include "engine/core/tensor.h"
#include "engine/graph/parameters.h"
#include "engine/io/safetensors.h"

namespace music {

// Entries with the memory they point into.
struct StateDict {
  std::vector<TensorEntry> entries;
  std::vector<Buffer> storage;
};

// Every parameter and buffer whose name starts with "prefix.", that stripped.
// batches: the value of num_batches_tracked.
StateDict export_state(const Parameters& parameters, const std::string& prefix,
                       std::int64_t batches);

// The shape of a tensor of ours in a file.
std::vector<std::int64_t> file_shape(const Shape& shape);

// F64, F32, F16 and BF16 as fp32, in the file's order; kData, naming the
// tensor and the file, for another type.
std::vector<float> float_values(const TensorEntry& entry,
                                const std::string& file_name);

// Values in a file's order into a tensor of ours, on the host.
void set_from_file_order(const Tensor& out, std::span<const float> values);

// Fills every parameter and buffer under the prefix from the file, of whatever
// floating type; keys under `ignore` (as "fc.") may stand in the file unused.
// Throws kData naming the first key that is missing, unexpected, of another
// shape or not finite, with counts.
void import_state(Parameters& parameters, const std::string& prefix,
                  const SafetensorsFile& file, const std::string& file_name,
                  const std::vector<std::string>& ignore = {"fc."});

}  // namespace music
