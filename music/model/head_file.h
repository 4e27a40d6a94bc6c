#pragma once
// A head's shape, read from the names and shapes of its tensors (a
// torch.nn.Sequential, ReLUs counted: layers/projector.h).

#include <cstdint>
#include <string>

#include "engine/io/safetensors.h"
#include "layers/projector.h"

namespace music {

// Throws kData, naming the file, for tensors that are no such head, or one that
// takes another number of features.
HeadSpec read_head_spec(const SafetensorsFile& file,
                        const std::string& file_name, std::int64_t features);

}  // namespace music
