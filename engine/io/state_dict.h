#pragma once
// Parameters to and from files under PyTorch's conventions: convolution weights
// OIHW (ours are [K,R,S,C]), running statistics beside them, and for every
// batch-norm an int64 scalar num_batches_tracked.

#include <map>
#include <string>
#include <vector>

#include "engine/core/buffer.h"
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

// Fills every parameter and buffer under the prefix from the file; keys under
// `ignore` (as "fc.") may stand in the file unused. Throws kData naming the
// first key that is missing, unexpected or of another shape, with counts.
void import_state(Parameters& parameters, const std::string& prefix,
                  const SafetensorsFile& file, const std::string& file_name,
                  const std::vector<std::string>& ignore = {"fc."});

}  // namespace music
