#pragma once
// Mean over windows that lie within the image: x [N,H,W,C] -> y [N,Ho,Wo,C].

#include "engine/ops/kernel.h"

namespace music {

struct AvgPoolSpec {
  // `count` windows of `size` places, the first at 0, each `stride` further.
  struct Axis {
    int size = 1, stride = 1, count = 1;
    bool operator==(const Axis&) const = default;
  };
  Axis rows, columns;

  // Square windows without padding, as many as fit (torch.nn.AvgPool2d).
  static AvgPoolSpec windows(const Shape& x, int size, int stride);
  // Two windows an axis that together cover it, as
  // torch.nn.AdaptiveAvgPool2d(2): from 7, 4 + 4 that share one place; from 1,
  // the same place twice.
  static AvgPoolSpec two(const Shape& x);
};

Value avg_pool(Graph& graph, Value x, AvgPoolSpec spec);

MUSIC_KERNEL(make_avg_pool_forward, AvgPoolSpec)   // in: x; out: y
MUSIC_KERNEL(make_avg_pool_backward, AvgPoolSpec)  // in: dy; out: dx

}  // namespace music
