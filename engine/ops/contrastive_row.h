#pragma once
// One row of a contrastive loss, once its exponentials are summed; shared by
// the bodies of every device.

#include <math.h>  // log, log1p: the names that are on both sides

#include "engine/core/host_device.h"

namespace music {

struct ContrastiveRow {
  float top;        // the largest similarity, the positive included
  float positive;   // similarity
  double others;    // sum over the negatives of exp((s - top) / temperature)
  double own;       // the same for the positive alone
  double inverse;   // 1 / temperature

  // 1 - p of the positive is formed from the negatives: no digit is lost where
  // they are few.
  MUSIC_HOST_DEVICE double loss() const {
    if (positive == top) return log1p(others);
    return log(others + own) +
           (static_cast<double>(top) - static_cast<double>(positive)) * inverse;
  }
  // Gradients with respect to a similarity: of a negative over its exponential,
  // and of the positive.
  MUSIC_HOST_DEVICE double negative() const { return inverse / (others + own); }
  MUSIC_HOST_DEVICE double positive_gradient() const {
    return -others * negative();
  }
};

}  // namespace music
