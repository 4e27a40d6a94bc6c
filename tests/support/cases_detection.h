#pragma once
// Cases of what detectors add to a network.

#include "engine/ops/roi_align.h"
#include "tests/support/op_case.h"
#include "tests/support/reference_detection.h"

namespace music::test {

struct RoiAlignRow {
  Dims dims;  // of the map
  std::int64_t rois;
  RoiAlignSpec spec;
};

// Boxes of all sizes, partly outside, some empty or turned over, some absent.
inline Array roi_boxes(const RoiAlignRow& d) {
  const std::vector<float> draw = hashed("rois", d.rois * 5);
  const double height = static_cast<double>(d.dims[1]) / d.spec.scale;
  const double width = static_cast<double>(d.dims[2]) / d.spec.scale;
  Array boxes({d.rois, 5});
  for (std::int64_t r = 0; r < d.rois; ++r) {
    const auto u = [&](int k) {
      return draw[static_cast<std::size_t>(5 * r + k)] + 0.5;
    };
    double* box = &boxes.data[static_cast<std::size_t>(5 * r)];
    box[0] = r % 7 == 6 ? -1 : static_cast<double>(r % d.dims[0]);
    box[1] = (1.4 * u(1) - 0.4) * width;
    box[2] = (1.4 * u(2) - 0.4) * height;
    box[3] = box[1] + u(3) * (r % 3 ? 0.4 : 1.2) * width;
    box[4] = box[2] + u(4) * (r % 3 ? 0.4 : 1.2) * height;
    if (r % 9 == 8) box[3] = box[1] - 1;
    for (int k = 1; k < 5; ++k)
      box[k] = static_cast<double>(static_cast<float>(box[k]));
  }
  return boxes;
}

inline OpCase roi_align_case(const RoiAlignRow& d, const Array& boxes) {
  OpCase c;
  c.name = fmt::format("roi_align [{}], {} boxes to {}x{}, scale {}",
                       fmt::join(d.dims, ","), boxes.dim(0), d.spec.size,
                       d.spec.size, d.spec.scale);
  c.tensors = {{uniform("roi_align/x", d.dims)},
               {boxes, Role::kData, DType::kF32, true}};
  c.record = [d](Graph& g, Values v) {
    return roi_align(g, v[0], v[1], d.spec);
  };
  c.reference = [d](CaseResult& r, const Array& dy) {
    r.y = reference::roi_align(r.tensors[0], r.tensors[1], d.spec);
    r.gradients[0] = reference::roi_align_backward(r.tensors[0], r.tensors[1],
                                                   d.spec, dy);
  };
  return c;
}

inline void add_roi_align_cases(std::vector<OpCase>& cases) {
  for (const RoiAlignRow& d : std::initializer_list<RoiAlignRow>{
           {{2, 10, 13, 16}, 20, {7, 1.0f / 16}},
           {{1, 9, 7, 3}, 9, {14, 1.0f / 16}},
           {{3, 5, 5, 33}, 12, {2, 0.25f}},
           {{1, 1, 1, 1}, 8, {3, 1}},
           {{1, 1, 6, 8}, 8, {1, 0.5f}},
           {{2, 12, 12, 64}, 5, {4, 0.3f}},
           {{1, 4, 4, 5}, 1, {1, 1}}})
    cases.push_back(roi_align_case(d, roi_boxes(d)));
  // The ends of what counts as inside, a box of whole bins and one beyond it.
  const RoiAlignRow d{{1, 8, 8, 8}, 6, {4, 1.0f / 16}};
  const std::vector<double> boxes{0, -32, 0,  32,  64,  0, 96,  0,   160, 64,
                                  0, 8,   8,  72,  72,  0, 8,   8,   73,  73,
                                  0, -8,  -8, 136, 136, 0, 500, 500, 600, 600};
  cases.push_back(roi_align_case(d, Array({6, 5}, boxes)));
}

}  // namespace music::test
