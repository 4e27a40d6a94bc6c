#pragma once
// MUSIC's code q (paper eq. 1): softmax of an embedding, segment by segment.

#include <cstdint>

#include "music/loss/segments.h"

namespace music {

// Embeddings z [n, segments.units()] to q of the same shape: softmax(z /
// temperature) of each segment, in fp32 (relative error about 1e-6), not clamped.
// Throws kData for a number that is not finite.
void soft_codes(const float* z, std::int64_t n, const Segments& segments,
                double temperature, float* q);

}  // namespace music
