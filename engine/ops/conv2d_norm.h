#pragma once
// A convolution and the batch normalisation behind it, in evaluation mode, as one:
// y = [relu](norm(conv2d(x, w)) [+ residual]). On the CPU the running statistics
// are folded into weights and a bias, so that no further pass over y is needed;
// what they were folded to is formed anew in every run. No gradient.

#include "engine/ops/batch_norm.h"
#include "engine/ops/conv2d.h"

namespace music {

struct Conv2dNormSpec {
  Conv2dSpec conv;
  bool relu = false, residual = false;
  double epsilon = BatchNormSpec().epsilon;
};

// As conv2d() and batch_norm_inference() take them; residual may be invalid.
Value conv2d_norm(Graph& graph, Value x, Value w, Conv2dSpec conv, Value gamma,
                  Value beta, Value running_mean, Value running_var,
                  Value residual, bool relu);

// in: x, w, gamma, beta, running_mean, running_var, [residual]; out: y
MUSIC_KERNEL(make_conv2d_norm, Conv2dNormSpec)

}  // namespace music
