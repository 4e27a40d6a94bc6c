#include "music/model/micro_batches.h"

#include <algorithm>

#include "engine/core/shard.h"

namespace music {

std::vector<MicroBatch> micro_batches(std::int64_t samples, std::int64_t micro,
                                      int rank, int world) {
  const std::int64_t each = micro == 0 ? samples : micro;
  std::vector<MicroBatch> parts;
  for (std::int64_t begin = 0; begin < samples;) {
    std::int64_t end = std::min(begin + each, samples);
    if (samples - end < 2) end = samples;
    const std::int64_t first = shard_size(begin, rank, world);
    parts.push_back({{end - begin, static_cast<int>(begin % world)},
                     first, shard_size(end, rank, world) - first});
    begin = end;
  }
  return parts;
}

}  // namespace music
