#pragma once
// What both bodies of roi_align compute first: samples lie on a grid and bilinear
// weights are products, so a bin is a weighted sum over rows times one over
// columns. Here are the weights of one bin on one axis, and the table of all.

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "engine/core/host_device.h"
#include "engine/ops/roi_align.h"

namespace music {

// Cells [begin, end) of an axis that a bin reads.
struct RoiSpan {
  int begin = 0, end = 0;
};

constexpr int kMostRoiSamples = 65536;  // in a bin, on one axis

// The samples of a box's axis, in cells; count <= 0: none.
struct RoiAxis {
  float start, bin;
  int count;
  bool valid;
};

MUSIC_HOST_DEVICE inline RoiAxis roi_axis(float low, float high,
                                          const RoiAlignSpec& spec) {
  const float start = low * spec.scale - 0.5f;
  const float length = high * spec.scale - 0.5f - start;
  const float bin = length / static_cast<float>(spec.size);
  const float count = ceilf(bin);
  // Comparisons that NaN fails.
  const bool valid = count <= static_cast<float>(kMostRoiSamples) &&
                     count >= -1e30f && start >= -1e30f && start <= 1e30f;
  return {start, bin, valid ? static_cast<int>(fmaxf(count, 0.0f)) : 0, valid};
}

// Fills weights[begin..end) of a bin on an axis of n cells and returns the span.
MUSIC_HOST_DEVICE inline RoiSpan roi_weights(const RoiAxis& axis, int index,
                                             int n, float* weights) {
  RoiSpan span;
  for (int i = 0; i < axis.count; ++i) {
    float at = axis.start + static_cast<float>(index) * axis.bin +
               (static_cast<float>(i) + 0.5f) * axis.bin /
                   static_cast<float>(axis.count);
    if (at < -1.0f || at > static_cast<float>(n)) continue;
    at = fmaxf(at, 0.0f);
    int low = static_cast<int>(at), high = low + 1;
    float rest = at - static_cast<float>(low);
    if (low >= n - 1) {
      low = high = n - 1;
      rest = 0;
    }
    if (span.end == 0) span.begin = span.end = low;  // the lowest comes first
    while (span.end <= high) weights[span.end++] = 0;
    const float share = 1.0f / static_cast<float>(axis.count);
    weights[low] += (1 - rest) * share;
    if (high > low) weights[high] += rest * share;
  }
  return span;
}

// Where weights, spans and images of all boxes lie in a workspace.
struct RoiTable {
  int rois, bins, rows, columns;
  float* weights = nullptr;
  RoiSpan* spans = nullptr;
  int* images = nullptr;  // -1: no box; -2: no valid one

  MUSIC_HOST_DEVICE float* row_weights(int roi, int bin) const {
    return weights +
           (std::int64_t{roi} * bins + bin) * (std::int64_t{rows} + columns);
  }
  MUSIC_HOST_DEVICE float* column_weights(int roi, int bin) const {
    return row_weights(roi, bin) + rows;
  }
  MUSIC_HOST_DEVICE RoiSpan& row_span(int roi, int bin) const {
    return spans[(std::int64_t{roi} * 2) * bins + bin];
  }
  MUSIC_HOST_DEVICE RoiSpan& column_span(int roi, int bin) const {
    return spans[(std::int64_t{roi} * 2 + 1) * bins + bin];
  }

  // One bin of one axis; `item` below rois * 2 * bins. images are of every item
  // of the box the same.
  MUSIC_HOST_DEVICE void fill(int item, const float* boxes, int batch,
                              const RoiAlignSpec& spec) const {
    const int roi = item / (2 * bins), axis = item / bins % 2, bin = item % bins;
    const float* box = boxes + std::int64_t{roi} * 5;
    const RoiAxis y = roi_axis(box[2], box[4], spec);
    const RoiAxis x = roi_axis(box[1], box[3], spec);
    const float image = box[0];
    const bool none = image == -1.0f;
    const bool valid = y.valid && x.valid && image >= 0 &&
                       image < static_cast<float>(batch) &&
                       image == floorf(image);
    if (axis == 0 && bin == 0)
      images[roi] = none ? -1 : valid ? static_cast<int>(image) : -2;
    RoiSpan& span = axis == 0 ? row_span(roi, bin) : column_span(roi, bin);
    span = {};
    if (none || !valid) return;
    span = axis == 0 ? roi_weights(y, bin, rows, row_weights(roi, bin))
                     : roi_weights(x, bin, columns, column_weights(roi, bin));
  }
};

// Of a map x [N,H,W,C] and so many boxes; null pointers.
inline RoiTable roi_table(const Shape& x, std::int64_t rois, int size) {
  return {static_cast<int>(rois), size, static_cast<int>(x[1]),
          static_cast<int>(x[2])};
}

inline std::size_t roi_table_bytes(const RoiTable& t) {
  const auto bins = static_cast<std::size_t>(t.rois) *
                    static_cast<std::size_t>(t.bins);
  return bins * static_cast<std::size_t>(t.rows + t.columns) * sizeof(float) +
         2 * bins * sizeof(RoiSpan) +
         static_cast<std::size_t>(t.rois) * sizeof(int);
}

// The table in this memory, of roi_table_bytes and aligned to 8.
inline RoiTable roi_table_at(RoiTable t, void* memory) {
  const std::int64_t bins = std::int64_t{t.rois} * t.bins;
  t.spans = static_cast<RoiSpan*>(memory);
  t.weights = reinterpret_cast<float*>(t.spans + 2 * bins);
  t.images = reinterpret_cast<int*>(
      t.weights + bins * (std::int64_t{t.rows} + t.columns));
  return t;
}

}  // namespace music
