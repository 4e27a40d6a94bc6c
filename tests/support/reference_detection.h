#pragma once
// Reference RoIAlign: every sample of every bin read by itself. Where samples
// lie is reckoned in float, as all implementations do, because their number is
// the ceiling of it.

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "engine/ops/roi_align.h"
#include "tests/support/reference_spatial.h"

namespace music::reference {

// fn(roi, bin y, bin x, n, i, j, weight) for every cell that a bin reads.
template <typename F>
void for_each_roi_cell(const Array& x, const Array& rois,
                       const RoiAlignSpec& spec, F fn) {
  const auto axis = [&](double low, double high) {
    const float start = static_cast<float>(low) * spec.scale - 0.5f;
    const float end = static_cast<float>(high) * spec.scale - 0.5f;
    const float bin = (end - start) / static_cast<float>(spec.size);
    return std::pair<double, double>(start, bin);
  };
  const double h = static_cast<double>(x.dim(1)),
               w = static_cast<double>(x.dim(2));
  for (std::int64_t r = 0; r < rois.dim(0); ++r) {
    const double* box = &rois.data[static_cast<std::size_t>(5 * r)];
    if (box[0] < 0) continue;
    const auto [start_y, bin_y] = axis(box[2], box[4]);
    const auto [start_x, bin_x] = axis(box[1], box[3]);
    const auto ny = static_cast<int>(std::ceil(bin_y));
    const auto nx = static_cast<int>(std::ceil(bin_x));
    for (int py = 0; py < spec.size; ++py)
      for (int px = 0; px < spec.size; ++px)
        for (int iy = 0; iy < ny; ++iy)
          for (int ix = 0; ix < nx; ++ix) {
            double sy = start_y + py * bin_y + (iy + 0.5) * bin_y / ny;
            double sx = start_x + px * bin_x + (ix + 0.5) * bin_x / nx;
            if (sy < -1 || sy > h || sx < -1 || sx > w) continue;
            sy = std::clamp(sy, 0.0, h - 1);
            sx = std::clamp(sx, 0.0, w - 1);
            const double y0 = std::floor(sy), x0 = std::floor(sx);
            for (const int dy : {0, 1})
              for (const int dx : {0, 1}) {
                const double weight = (dy ? sy - y0 : 1 - sy + y0) *
                                      (dx ? sx - x0 : 1 - sx + x0) / (ny * nx);
                if (weight > 0)
                  fn(r, py, px, static_cast<std::int64_t>(box[0]),
                     static_cast<std::int64_t>(y0) + dy,
                     static_cast<std::int64_t>(x0) + dx, weight);
              }
          }
  }
}

// x [N,H,W,C], rois [R,5] -> y [R,size,size,C]
inline Array roi_align(const Array& x, const Array& rois,
                       const RoiAlignSpec& spec) {
  Array y({rois.dim(0), spec.size, spec.size, x.dim(3)});
  for_each_roi_cell(x, rois, spec,
                    [&](auto r, int py, int px, auto n, auto i, auto j,
                        double weight) {
                      for (std::int64_t c = 0; c < x.dim(3); ++c)
                        y[offset(y, r, py, px, c)] +=
                            weight * x[offset(x, n, i, j, c)];
                    });
  return y;
}

inline Array roi_align_backward(const Array& x, const Array& rois,
                                const RoiAlignSpec& spec, const Array& dy) {
  Array dx(x.shape);
  for_each_roi_cell(x, rois, spec,
                    [&](auto r, int py, int px, auto n, auto i, auto j,
                        double weight) {
                      for (std::int64_t c = 0; c < x.dim(3); ++c)
                        dx[offset(dx, n, i, j, c)] +=
                            weight * dy[offset(dy, r, py, px, c)];
                    });
  return dx;
}

}  // namespace music::reference
