#include "music/model/micro_batches.h"

#include <algorithm>

#include "engine/core/error.h"
#include "engine/core/shard.h"

namespace music {

std::vector<MicroBatch> micro_batches(std::int64_t samples, std::int64_t micro,
                                      int rank, int world) {
  if (micro == 0 || micro >= samples)
    return {{samples, 0, shard_size(samples, rank, world)}};
  if (micro < world)
    throw error(ExitCode::kUsage,
                "[train] train.micro_batch of {} samples for {} processes: "
                "expected at least one sample each, or 0", micro, world);
  const std::int64_t each = micro / world * world;
  const std::int64_t least = std::max<std::int64_t>(2, world);
  std::vector<MicroBatch> parts;
  for (std::int64_t begin = 0; begin < samples;) {
    std::int64_t end = std::min(begin + each, samples);
    if (samples - end < least) end = samples;
    // begin is a multiple of world.
    parts.push_back({end - begin, begin / world,
                     shard_size(end - begin, rank, world)});
    begin = end;
  }
  return parts;
}

}  // namespace music
