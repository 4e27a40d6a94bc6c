#include "engine/ops/roi_align.h"

#include "engine/cuda/elements.h"
#include "engine/cuda/launch.h"
#include "engine/ops/function_kernel.h"
#include "engine/ops/roi_align_weights.h"

namespace music::cuda {
namespace {

__global__ void fill_table(RoiTable table, const float* boxes, int batch,
                           RoiAlignSpec spec) {
  const int items = table.rois * 2 * table.bins;
  for (int item = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
       item < items; item += static_cast<int>(gridDim.x * blockDim.x))
    table.fill(item, boxes, batch, spec);
}

struct Geometry {
  int h, w, c;
};

// A block a row of bins; a thread takes kWidth channels of one.
template <int kWidth, typename T>
__global__ void align_forward(const T* x, T* y, RoiTable t, Geometry g) {
  const int packs = g.c / kWidth;
  const int roi = static_cast<int>(blockIdx.x) / t.bins;
  const int bin_y = static_cast<int>(blockIdx.x) % t.bins;
  const int image = t.images[roi];
  const RoiSpan rows = t.row_span(roi, bin_y);
  const float* wy = t.row_weights(roi, bin_y);
  for (int item = static_cast<int>(threadIdx.x); item < t.bins * packs;
       item += static_cast<int>(blockDim.x)) {
    const int bin_x = item / packs, c = (item - bin_x * packs) * kWidth;
    float sum[kWidth];
#pragma unroll
    for (int k = 0; k < kWidth; ++k) sum[k] = image == -2 ? NAN : 0.0f;
    if (image >= 0) {
      const RoiSpan columns = t.column_span(roi, bin_x);
      const float* wx = t.column_weights(roi, bin_x);
      for (int i = rows.begin; i < rows.end; ++i)
        for (int j = columns.begin; j < columns.end; ++j) {
          const float weight = wy[i] * wx[j];
          float v[kWidth];
          load_elements(
              x + ((std::int64_t{image} * g.h + i) * g.w + j) * g.c + c, v);
#pragma unroll
          for (int k = 0; k < kWidth; ++k) sum[k] += weight * v[k];
        }
    }
    store_elements(
        y + (std::int64_t{blockIdx.x} * t.bins + bin_x) * g.c + c, sum);
  }
}

// A block a cell of the map, which gathers from all boxes in their order.
template <int kWidth, typename T>
__global__ void align_backward(const T* dy, T* dx, RoiTable t, Geometry g) {
  const auto cell = static_cast<int>(blockIdx.x);
  const int j = cell % g.w, i = cell / g.w % g.h, image = cell / g.w / g.h;
  for (int c = static_cast<int>(threadIdx.x) * kWidth; c < g.c;
       c += static_cast<int>(blockDim.x) * kWidth) {
    float sum[kWidth] = {};
    for (int roi = 0; roi < t.rois; ++roi) {
      if (t.images[roi] != image) continue;
      for (int bin_y = 0; bin_y < t.bins; ++bin_y) {
        const RoiSpan rows = t.row_span(roi, bin_y);
        if (i < rows.begin || i >= rows.end) continue;
        const float wy = t.row_weights(roi, bin_y)[i];
        for (int bin_x = 0; bin_x < t.bins; ++bin_x) {
          const RoiSpan columns = t.column_span(roi, bin_x);
          if (j < columns.begin || j >= columns.end) continue;
          const float weight = wy * t.column_weights(roi, bin_x)[j];
          float d[kWidth];
          load_elements(
              dy + ((std::int64_t{roi} * t.bins + bin_y) * t.bins + bin_x) *
                       g.c + c, d);
#pragma unroll
          for (int k = 0; k < kWidth; ++k) sum[k] += weight * d[k];
        }
      }
    }
    store_elements(dx + std::int64_t{cell} * g.c + c, sum);
  }
}

RoiTable make_table(const RoiTable& shape, const KernelArgs& args, int batch,
                    const RoiAlignSpec& spec) {
  const RoiTable table = roi_table_at(shape, args.workspace);
  launch(fill_table, grid_stride(std::int64_t{shape.rois} * 2 * shape.bins),
         args.stream, table, static_cast<const float*>(args.in[1].data), batch,
         spec);
  return table;
}

Geometry geometry(const Shape& x) {
  return {static_cast<int>(x[1]), static_cast<int>(x[2]),
          static_cast<int>(x[3])};
}

}  // namespace

std::unique_ptr<Kernel> make_roi_align_forward(const KernelRequest& r,
                                               RoiAlignSpec spec) {
  const Shape xs = r.in[0].shape;
  const RoiTable shape = roi_table(xs, r.in[1].shape[0], spec.size);
  const Geometry g = geometry(xs);
  const int batch = static_cast<int>(xs[0]);
  std::unique_ptr<Kernel> kernel;
  with_channel_packs(
      r.in[0].dtype, xs[3], "roi_align",
      [&]<typename T, int kWidth>(T, std::integral_constant<int, kWidth>) {
        const LaunchShape blocks =
            block_per_row(std::int64_t{shape.rois} * shape.bins,
                          shape.bins * (xs[3] / kWidth));
        kernel = function_kernel(
            roi_table_bytes(shape), [=](const KernelArgs& args) {
              const RoiTable table = make_table(shape, args, batch, spec);
              launch(align_forward<kWidth, T>, blocks, args.stream,
                     static_cast<const T*>(args.in[0].data),
                     static_cast<T*>(args.out[0].data), table, g);
            });
      });
  return kernel;
}

std::unique_ptr<Kernel> make_roi_align_backward(const KernelRequest& r,
                                                RoiAlignSpec spec) {
  const Shape xs = r.out[0].shape;
  const RoiTable shape = roi_table(xs, r.in[1].shape[0], spec.size);
  const Geometry g = geometry(xs);
  const int batch = static_cast<int>(xs[0]);
  std::unique_ptr<Kernel> kernel;
  with_channel_packs(
      r.out[0].dtype, xs[3], "roi_align_backward",
      [&]<typename T, int kWidth>(T, std::integral_constant<int, kWidth>) {
        const LaunchShape blocks =
            block_per_row(xs[0] * xs[1] * xs[2], xs[3] / kWidth);
        kernel = function_kernel(
            roi_table_bytes(shape), [=](const KernelArgs& args) {
              const RoiTable table = make_table(shape, args, batch, spec);
              launch(align_backward<kWidth, T>, blocks, args.stream,
                     static_cast<const T*>(args.in[0].data),
                     static_cast<T*>(args.out[0].data), table, g);
            });
      });
  return kernel;
}

}  // namespace music::cuda
