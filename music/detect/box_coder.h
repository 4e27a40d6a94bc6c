#pragma once
// A box told by its difference from another (R-CNN): centres move by parts of
// the sides, sides grow by factors.

#include "music/detect/boxes.h"

namespace music::detect {

struct Deltas {
  float dx = 0, dy = 0, dw = 0, dh = 0;
};

// What differences are multiplied by: 1, 1, 1, 1 for proposals, 10, 10, 5, 5
// for the box head.
struct CoderWeights {
  float x = 1, y = 1, w = 1, h = 1;
};

// The largest logarithm of a side's growth: ln(1000 / 16).
inline constexpr float kMaxLogGrowth = 4.135166556742356f;

// What takes `from` to `target`; sides of both are above 0.
Deltas encode(const Box& from, const Box& target, const CoderWeights& weights);
// The growth of sides is limited from above alone, moves are not.
Box decode(const Box& from, const Deltas& deltas, const CoderWeights& weights);

}  // namespace music::detect
