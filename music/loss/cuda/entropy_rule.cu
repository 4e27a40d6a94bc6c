#include "music/loss/cuda/entropy_rule.h"

#include <type_traits>

#include "music/loss/cuda/tile_elements.h"
#include "music/loss/joint_entropy_math.h"

namespace music::cuda {
namespace {

template <bool kWeighted>
struct EntropyElements {
  SegmentTable segments;
  const float *row_scales, *column_scales;  // from the block's first ones on

  struct Row {
    float scale;
    std::int64_t begin, end;  // the diagonal block's columns
    const float* weights;     // [S], of the row's blocks
  };
  __device__ Row row(const TileBlock& block, std::int64_t a) const {
    const int s = segments.segment[block.row + a];
    return {row_scales[a], segments.begin[s] - block.column,
            segments.begin[s + 1] - block.column,
            kWeighted ? segments.blocks + std::int64_t{s} * segments.count
                      : nullptr};
  }
  __device__ float take(const Row& row, const TileBlock& block, std::int64_t b,
                        float (&v)[kPack]) const {
    float scale[kPack];
    load_tail(column_scales, b, block.columns, scale);
    float part = 0;
#pragma unroll
    for (int j = 0; j < kPack; ++j) {
      const bool inside =
          (b + j >= row.begin && b + j < row.end) || b + j >= block.columns;
      const float log_p = centred_log(v[j], row.scale * scale[j]);
      float x = inside ? 0.0f : log_p;
      if constexpr (kWeighted)
        if (!inside) x *= row.weights[segments.segment[block.column + b + j]];
      part += v[j] * x;
      v[j] = x;
    }
    return part;
  }
};

}  // namespace

void EntropyRule::apply(const TileBlock& block, const float* p,
                        std::int64_t p_stride, void* g, std::int64_t g_stride,
                        DType type, double* entropy, void* stream) const {
  const auto run = [&]<bool kWeighted>(std::bool_constant<kWeighted>) {
    launch_rule(
        EntropyElements<kWeighted>{
            segments_, row_scales_ + block.row,
            column_scales_ + block.column - first_column_},
        block, p, p_stride, g, g_stride, type, entropy, stream);
  };
  if (segments_.blocks)
    run(std::true_type{});
  else
    run(std::false_type{});
}

}  // namespace music::cuda
