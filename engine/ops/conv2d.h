#pragma once
// 2-D convolution (cross-correlation), no bias, square stride and zero padding.
// x [N,H,W,C], w [K,R,S,C] -> y [N,Ho,Wo,K], Ho = (H + 2 pad - R)/stride + 1.
// x and w of one dtype, y of the same; the gradient of w is F32. x may have a
// fourth channel that w has not (image_normalize's padding): it counts as zero.

#include "engine/ops/kernel.h"

namespace music {

struct Conv2dSpec {
  int stride = 1;
  int pad = 0;
};

Value conv2d(Graph& graph, Value x, Value w, Conv2dSpec spec);

MUSIC_KERNEL(make_conv2d_forward, Conv2dSpec)           // in: x, w; out: y
MUSIC_KERNEL(make_conv2d_backward_data, Conv2dSpec)     // in: dy, w; out: dx
MUSIC_KERNEL(make_conv2d_backward_weights, Conv2dSpec)  // in: x, dy; out: dw

}  // namespace music
