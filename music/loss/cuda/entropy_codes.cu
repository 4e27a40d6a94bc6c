#include "music/loss/cuda/entropy_codes.h"

#include <algorithm>
#include <cmath>

#include "engine/cuda/block_reduce.h"
#include "engine/cuda/elements.h"
#include "engine/cuda/launch.h"
#include "music/loss/cuda/segment_units.h"
#include "music/loss/joint_entropy_math.h"

namespace music::cuda {
namespace {

constexpr int kEncodeWarps = 4;
// Warps that a large device has at a time: 132 multiprocessors of 32.
constexpr std::int64_t kFill = 132 * 32;
constexpr std::int64_t kLeastRows = 8, kMostRows = 32;

constexpr int kSums = 5;         // of a column: partial of encode()
constexpr int kColumnWarps = 8;  // share the chunks of 32 columns
constexpr int kFinishThreads = 128;

template <typename T>
struct EncodeArgs {
  const float* z;
  T* codes;
  SegmentSoftmax* softmax;
  float* partial;
  std::int64_t n, stride, rows, chunks;
  float inverse_temperature, clamp, code_scale, code_unscale;
};

// A warp takes one segment of both views over a chunk of samples.
template <typename T, int kHeld>
__global__ void __launch_bounds__(32 * kEncodeWarps)
    encode_segments(SegmentTable segments, EncodeArgs<T> a) {
  constexpr int kUnits = kHeldUnits<kHeld>;
  const std::int64_t warp =
      std::int64_t{blockIdx.x} * kEncodeWarps + threadIdx.x / 32;
  const std::int64_t chunk = warp / segments.count;
  const int s = static_cast<int>(warp % segments.count);
  if (chunk >= a.chunks) return;
  const int begin = segments.begin[s];
  const int size = segments.begin[s + 1] - begin;
  const std::int64_t first = chunk * a.rows;
  const std::int64_t last = first + a.rows < a.n ? first + a.rows : a.n;
  float* partial = a.partial + chunk * kSums * segments.units + begin;
  float sums[kSums][kUnits] = {};

  for (std::int64_t i = first; i < last; ++i) {
    const std::int64_t row[2] = {i, a.n + i};
    const float* z[2];
    float e[2][kUnits] = {}, max[2], sum[2] = {}, mass[2] = {}, inverse[2];
    for (int v = 0; v < 2; ++v) {
      z[v] = a.z + row[v] * segments.units + begin;
      max[v] = -INFINITY;
    }
    for_units<kHeld>(size, [&](int k, int d) {
      for (int v = 0; v < 2; ++v) {
        e[v][k] = z[v][d];
        max[v] = e[v][k] > max[v] ? e[v][k] : max[v];
      }
    });
    for (int v = 0; v < 2; ++v) max[v] = warp_max(max[v]);
    const auto exponential = [&](int v, float x) {
      return loss_exp((x - max[v]) * a.inverse_temperature);
    };
    for_units<kHeld>(size, [&](int k, int d) {
      for (int v = 0; v < 2; ++v) {
        e[v][k] = exponential(v, kHeld > 0 ? e[v][k] : z[v][d]);
        sum[v] += e[v][k];
      }
    });
    for (int v = 0; v < 2; ++v) {
      sum[v] = warp_sum(sum[v]);
      inverse[v] = 1.0f / sum[v];
    }
    for_units<kHeld>(size, [&](int k, int d) {
      float q[2], error[2];
      for (int v = 0; v < 2; ++v) {
        const float x = kHeld > 0 ? e[v][k] : exponential(v, z[v][d]);
        q[v] = clamped(x * inverse[v], a.clamp);
        mass[v] += q[v];
        const T code = from_real<T>(q[v] * a.code_scale);
        a.codes[row[v] * a.stride + begin + d] = code;
        error[v] = to_real(code) * a.code_unscale - q[v];
      }
      const float add[kSums] = {q[0], q[1], q[0] * q[1], error[0], error[1]};
      for (int j = 0; j < kSums; ++j) {
        if constexpr (kHeld > 0) {
          sums[j][k] += add[j];
        } else {
          float* const p = partial + j * segments.units + d;
          *p = i == first ? add[j] : *p + add[j];
        }
      }
    });
    for (int v = 0; v < 2; ++v) mass[v] = warp_sum(mass[v]);
    if (threadIdx.x % 32 == 0)
      for (int v = 0; v < 2; ++v)
        a.softmax[row[v] * segments.count + s] = {max[v], sum[v], mass[v]};
  }
  if constexpr (kHeld > 0)
    for_units<kHeld>(size, [&](int k, int d) {
      for (int j = 0; j < kSums; ++j)
        partial[j * segments.units + d] = sums[j][k];
    });
}

// A block takes 32 columns.
__global__ void __launch_bounds__(32 * kColumnWarps)
    reduce_columns(const float* partial, std::int64_t units,
                   std::int64_t chunks, double* totals) {
  MUSIC_SHARED(double, of_warp, kColumnWarps * kSums * 32);
  const int warp = static_cast<int>(threadIdx.x / 32);
  const int lane = static_cast<int>(threadIdx.x % 32);
  const std::int64_t column = std::int64_t{blockIdx.x} * 32 + lane;
  double sum[kSums] = {};
  if (column < units)
#pragma unroll 4
    for (std::int64_t c = warp; c < chunks; c += kColumnWarps)
      for (int j = 0; j < kSums; ++j)
        sum[j] +=
            static_cast<double>(partial[(c * kSums + j) * units + column]);
  for (int j = 0; j < kSums; ++j)
    of_warp[(warp * kSums + j) * 32 + lane] = sum[j];
  __syncthreads();
  if (warp > 0 || column >= units) return;
  for (int w = 1; w < kColumnWarps; ++w)
    for (int j = 0; j < kSums; ++j)
      sum[j] += of_warp[(w * kSums + j) * 32 + lane];
  for (int j = 0; j < kSums; ++j) totals[j * units + column] = sum[j];
}

// In double: the elements are few, and DE weighs each a hundred times as much
// as OE weighs one of its own.
__global__ void __launch_bounds__(kFinishThreads)
    columns_of_p(SegmentTable segments, const double* totals, double n,
                 double mean_n, double weight, Columns to,
                 std::int64_t stride) {
  const std::int64_t units = segments.units;
  const std::int64_t column =
      std::int64_t{blockIdx.x} * kFinishThreads + threadIdx.x;
  double p_log_p = 0;
  if (column < units) {
    const double p = totals[2 * units + column] / n;
    const double least = static_cast<double>(kMinP);
    const double log_p = std::log(p < least ? least : p);
    p_log_p = p * log_p;
    if (segments.blocks) {
      const std::int64_t s = segments.segment[column];
      const double block = static_cast<double>(
          segments.blocks[s * segments.count + s]);
      p_log_p *= block;
      weight *= block;
    }
    to.diagonal[column] = static_cast<float>(weight * (log_p + 1) / n);
    for (int v = 0; v < 2; ++v) {
      const double sum = totals[v * units + column];
      const double error = totals[(3 + v) * units + column];
      to.mean_q[v * units + column] = static_cast<float>(sum / mean_n);
      // Codes too small for F16 (clamp 0) stay as they are.
      const double share = sum / (sum + error);
      to.unit_scale[v * stride + column] =
          segments.size[column] *
          static_cast<float>(share > 0.5 && share < 2 ? share : 1);
    }
  }
  p_log_p = block_sum(p_log_p);
  if (threadIdx.x == 0) to.entropy[blockIdx.x] = p_log_p;
}

}  // namespace

CodesPlan::CodesPlan(std::int64_t samples, const SegmentTable& table,
                     DType type)
    : n(samples),
      segments(table),
      codes(type),
      stride(ceil_div(table.units, kPack) * kPack),
      rows(std::clamp(samples * table.count / kFill, kLeastRows, kMostRows)),
      chunks(ceil_div(samples, rows)),
      column_blocks(ceil_div(table.units, kFinishThreads)),
      codes_bytes(static_cast<std::size_t>(2 * n * stride) * size_of(type)),
      softmax_bytes(static_cast<std::size_t>(2 * n * table.count) *
                    sizeof(SegmentSoftmax)),
      partial_bytes(static_cast<std::size_t>(chunks * kSums * table.units) *
                    sizeof(float)),
      totals_bytes(static_cast<std::size_t>(kSums * table.units) *
                   sizeof(double)) {
  MUSIC_CHECK(type == DType::kF32 || type == DType::kF16,
              "[joint_entropy] codes in {}, expected F32 or F16",
              name_of(type));
}

void encode(const CodesPlan& plan, float inverse_temperature, float clamp,
            const float* z, void* codes, SegmentSoftmax* softmax,
            float* partial, void* stream) {
  const auto run = [&]<typename T>(T) {
    const EncodeArgs<T> args = {
        z, static_cast<T*>(codes), softmax, partial, plan.n, plan.stride,
        plan.rows, plan.chunks, inverse_temperature, clamp,
        code_scale(plan.codes), 1 / code_scale(plan.codes)};
    with_held_units(plan.segments.largest, [&](auto held) {
      launch(encode_segments<T, held()>,
             {ceil_div(plan.chunks * plan.segments.count, kEncodeWarps), 1, 1,
              32 * kEncodeWarps},
             stream, plan.segments, args);
    });
  };
  if (plan.codes == DType::kF16)
    run(Half{});
  else
    run(float{});
}

void total_columns(const CodesPlan& plan, const float* partial, double* totals,
                   void* stream) {
  launch(reduce_columns,
         {ceil_div(plan.segments.units, 32), 1, 1, 32 * kColumnWarps}, stream,
         partial, plan.segments.units, plan.chunks, totals);
}

void finish_columns(const CodesPlan& plan, const double* totals,
                    std::int64_t samples, std::int64_t mean_samples,
                    double weight, const Columns& columns, void* stream) {
  launch(columns_of_p, {plan.column_blocks, 1, 1, kFinishThreads}, stream,
         plan.segments, totals, static_cast<double>(samples),
         static_cast<double>(mean_samples), weight, columns, plan.stride);
}

}  // namespace music::cuda
