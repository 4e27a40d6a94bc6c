#include "music/model/head_file.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "engine/core/error.h"

namespace music {

HeadSpec read_head_spec(const SafetensorsFile& file,
                        const std::string& file_name, std::int64_t features) {
  HeadSpec head;
  std::size_t read = 0;  // tensors that belong to what was found
  const auto take = [&](int index, const char* what) {
    const TensorEntry* t = file.find(fmt::format("{}.{}", index, what));
    read += t != nullptr;
    return t;
  };
  const auto fail = [&](const std::string& found) {
    throw error(ExitCode::kData,
                "[weights] {}: {}, expected a projector: linear layers 0.weight, "
                "3.weight, ... with batch norm between them", file_name, found);
  };
  std::int64_t in = features;
  bool first = true;
  // Linear, [batch norm], ReLU; all layers but the last alike.
  for (int index = 0;;) {
    const TensorEntry* weight = take(index, "weight");
    if (!weight || weight->shape.size() != 2)
      fail(fmt::format("no matrix {}.weight", index));
    if (weight->shape[1] != in)
      fail(fmt::format("{}.weight takes {} numbers where {} come", index,
                       weight->shape[1], in));
    in = weight->shape[0];
    head.widths.push_back(in);
    const bool bias = take(index, "bias") != nullptr;
    ++index;
    const bool norm = take(index, "running_mean") && take(index, "running_var");
    bool gamma = false, beta = false;
    if (norm) {
      gamma = take(index, "weight") != nullptr;
      beta = take(index, "bias") != nullptr;
      take(index, "num_batches_tracked");
      ++index;
    }
    const bool last = read == file.tensors().size();
    if (last) {
      head.last_bias = bias;
      if (norm)
        head.last_norm = gamma ? HeadSpec::LastNorm::kAffine
                               : HeadSpec::LastNorm::kPlain;
    } else {
      if (!first && (bias != head.bias || norm != head.norm))
        fail(fmt::format("layer {} is unlike those before it", index));
      head.bias = bias;
      head.norm = norm;
    }
    if (norm && (gamma != beta || (!gamma && !last)))
      fail(fmt::format("batch norm {} lacks its weight or bias", index - 1));
    if (last) return head;
    first = false;
    ++index;  // the ReLU
  }
}

}  // namespace music
