#pragma once
// RoIAlign: features of boxes on a map (He et al., Mask R-CNN; version 2 of it:
// aligned to pixel centres, as many samples in a bin as its side has cells).
// x [N,H,W,C] and rois [R,5] (F32: image, x1, y1, x2, y2 in the input's pixels)
// -> y [R,size,size,C]; equal to torchvision.ops.roi_align(..., sampling_ratio=0,
// aligned=True).
//
// The image -1 marks a row that holds no box: zeros, and no gradient; so one
// graph serves batches with fewer boxes. Another image that is none, and
// coordinates that are not finite or give bins of more than 65,536 cells, are an
// error on the CPU, and NaN in the row's y on a GPU. The gradient goes to x
// alone, and adds boxes in their order: the same bits on any number of threads.

#include "engine/ops/kernel.h"

namespace music {

struct RoiAlignSpec {
  int size = 14;          // bins a side
  float scale = 1.0f / 16;  // cells of x a pixel of the boxes
};

Value roi_align(Graph& graph, Value x, Value rois, RoiAlignSpec spec);

MUSIC_KERNEL(make_roi_align_forward, RoiAlignSpec)   // in: x, rois; out: y
MUSIC_KERNEL(make_roi_align_backward, RoiAlignSpec)  // in: dy, rois; out: dx

}  // namespace music
