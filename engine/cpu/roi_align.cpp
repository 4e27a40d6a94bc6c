#include "engine/ops/roi_align.h"

#include "engine/cpu/parallel.h"
#include "engine/ops/function_kernel.h"
#include "engine/ops/roi_align_weights.h"

namespace music::cpu {
namespace {

RoiTable make_table(RoiTable table, const float* boxes, int batch,
                    const RoiAlignSpec& spec, void* memory) {
  table = roi_table_at(table, memory);
  const int per_box = 2 * table.bins;
  parallel_ranges(table.rois, 8, [&](std::int64_t begin, std::int64_t end) {
    for (int item = static_cast<int>(begin) * per_box;
         item < static_cast<int>(end) * per_box; ++item)
      table.fill(item, boxes, batch, spec);
  });
  for (int r = 0; r < table.rois; ++r) {
    const float* box = boxes + std::int64_t{r} * 5;
    if (table.images[r] == -2)
      throw error(ExitCode::kInternal,
                  "[roi_align] box {} is ({}, {}, {}, {}) on image {}, expected "
                  "finite corners on an image of {}, or the image -1",
                  r, box[1], box[2], box[3], box[4], box[0], batch);
  }
  return table;
}

}  // namespace

std::unique_ptr<Kernel> make_roi_align_forward(const KernelRequest& r,
                                               RoiAlignSpec spec) {
  const Shape xs = r.in[0].shape;
  const RoiTable shape = roi_table(xs, r.in[1].shape[0], spec.size);
  const std::int64_t w = xs[2], c = xs[3], image = xs[1] * w * c;
  const int batch = static_cast<int>(xs[0]);
  return function_kernel(roi_table_bytes(shape), [=](const KernelArgs& args) {
    const float* x = args.in[0].f32();
    float* y = args.out[0].f32();
    const RoiTable t =
        make_table(shape, args.in[1].f32(), batch, spec, args.workspace);
    parallel_ranges(
        std::int64_t{t.rois} * t.bins, 1,
        [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t row = begin; row < end; ++row) {
            const int roi = static_cast<int>(row / t.bins);
            const int bin_y = static_cast<int>(row % t.bins);
            float* out = y + row * t.bins * c;
            std::fill_n(out, t.bins * c, 0.0f);
            if (t.images[roi] < 0) continue;
            const float* map = x + t.images[roi] * image;
            const RoiSpan rows = t.row_span(roi, bin_y);
            const float* wy = t.row_weights(roi, bin_y);
            for (int bin_x = 0; bin_x < t.bins; ++bin_x, out += c) {
              const RoiSpan columns = t.column_span(roi, bin_x);
              const float* wx = t.column_weights(roi, bin_x);
              for (int i = rows.begin; i < rows.end; ++i)
                for (int j = columns.begin; j < columns.end; ++j) {
                  const float weight = wy[i] * wx[j];
                  const float* from = map + (i * w + j) * c;
#pragma omp simd
                  for (std::int64_t k = 0; k < c; ++k)
                    out[k] += weight * from[k];
                }
            }
          }
        });
  });
}

std::unique_ptr<Kernel> make_roi_align_backward(const KernelRequest& r,
                                                RoiAlignSpec spec) {
  const Shape xs = r.out[0].shape;
  const RoiTable shape = roi_table(xs, r.in[1].shape[0], spec.size);
  const std::int64_t h = xs[1], w = xs[2], c = xs[3];
  const int batch = static_cast<int>(xs[0]);
  return function_kernel(roi_table_bytes(shape), [=](const KernelArgs& args) {
    const float* dy = args.in[0].f32();
    float* dx = args.out[0].f32();
    const RoiTable t =
        make_table(shape, args.in[1].f32(), batch, spec, args.workspace);
    // A row of the map gathers from all boxes, in their order.
    parallel_ranges(batch * h, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        float* out = dx + row * w * c;
        std::fill_n(out, w * c, 0.0f);
        const std::int64_t i = row % h;
        for (int roi = 0; roi < t.rois; ++roi) {
          if (t.images[roi] != row / h) continue;
          for (int bin_y = 0; bin_y < t.bins; ++bin_y) {
            const RoiSpan rows = t.row_span(roi, bin_y);
            if (i < rows.begin || i >= rows.end) continue;
            const float wy = t.row_weights(roi, bin_y)[i];
            const float* from =
                dy + (std::int64_t{roi} * t.bins + bin_y) * t.bins * c;
            for (int bin_x = 0; bin_x < t.bins; ++bin_x, from += c) {
              const RoiSpan columns = t.column_span(roi, bin_x);
              const float* wx = t.column_weights(roi, bin_x);
              for (int j = columns.begin; j < columns.end; ++j) {
                const float weight = wy * wx[j];
                float* to = out + j * c;
#pragma omp simd
                for (std::int64_t k = 0; k < c; ++k) to[k] += weight * from[k];
              }
            }
          }
        }
      }
    });
  });
}

}  // namespace music::cpu
