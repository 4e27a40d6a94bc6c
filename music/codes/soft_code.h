#pragma once
// MUSIC's code q (paper eq. 1): softmax of an embedding, segment by segment.

#include "music/loss/segments.h"

namespace music {

// One embedding z [segments.units()] to q: softmax(z / temperature) of each
// segment, in fp32 (relative error about 1e-6), not clamped. Throws kData for a
// number that is not finite.
void soft_code(const float* z, const Segments& segments, double temperature,
               float* q);

}  // namespace music
