#include "engine/ops/batch_norm.h"

#include "engine/cuda/batch_norm_rows.h"
#include "engine/ops/batch_norm_channel.h"
#include "engine/ops/function_kernel.h"

namespace music::cuda {
namespace {

// Sums are taken of x - shift, with shift the chunk's first value of the
// channel, so that fp32 loses nothing when the mean is large.
template <typename T, int W>
__global__ void MUSIC_BATCH_NORM_BOUNDS
    statistics(const BatchNormRows rows, const T* __restrict__ x,
               double* __restrict__ partial) {
  const BatchNormThread<W> own(rows);
  const T* first_row = x + own.chunk_begin * rows.channels;
  float shift[W] = {}, sum[W] = {}, square[W] = {};
  if (own.inside) load(first_row + own.channel, shift);
  own.template for_rows<sizeof(T) == 2 ? 4 : 2>([&](auto n, std::int64_t at) {
    Loaded<T, W> v[n];
#pragma unroll
    for (int u = 0; u < n; ++u) v[u].from(x + at + u * own.step());
#pragma unroll
    for (int u = 0; u < n; ++u)
#pragma unroll
      for (int j = 0; j < W; ++j) {
        const float d = v[u][j] - shift[j];
        sum[j] += d;
        square[j] += d * d;
      }
  });
  own.reduce(sum, square, partial,
             [&](std::int64_t channel, double& s, double& q) {
               const double n =
                   static_cast<double>(own.chunk_end - own.chunk_begin);
               const double m = to_real(first_row[channel]);
               q += 2 * m * s + n * m * m;
               s += n * m;
             });
}

constexpr int kSumThreads = 512;

__global__ void sum_chunks(const BatchNormRows rows,
                           const double* __restrict__ partial,
                           double* __restrict__ stats) {
  constexpr int kWarps = kSumThreads / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const std::int64_t width = 2 * rows.channels;
  const std::int64_t i = std::int64_t{blockIdx.x} * 32 + lane;
  double sum = 0;
  if (i < width) {
    const double* p = partial + blockIdx.y * rows.chunks * width + i;
#pragma unroll 4
    for (int chunk = warp; chunk < rows.chunks; chunk += kWarps)
      sum += p[chunk * width];
  }
  MUSIC_SHARED(double, sums, kSumThreads);
  sums[threadIdx.x] = sum;
  __syncthreads();
  double* out = stats + blockIdx.y * (width + 1);
  if (warp == 0 && i < width) {
    for (int w = 1; w < kWarps; ++w) sum += sums[w * 32 + lane];
    out[i] = sum;
  }
  if (blockIdx.x == 0 && threadIdx.x == 0)
    out[width] = static_cast<double>(rows.rows);
}

// saved [groups, 2, C]: mean and invstd of each group, and the running
// statistics (may be null).
__global__ void moments(const double* __restrict__ stats, float* saved,
                        float* running_mean, float* running_var,
                        std::int64_t channels, int groups, double epsilon,
                        double momentum) {
  const std::int64_t c = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (c >= channels) return;
  float mean = 0, var = 0;
  if (running_mean) mean = running_mean[c], var = running_var[c];
  for (int g = 0; g < groups; ++g) {
    const double* s = stats + g * (2 * channels + 1);
    const double n = s[2 * channels];
    const BatchMoments m = batch_moments(s[c], s[channels + c], n, epsilon);
    saved[2 * g * channels + c] = static_cast<float>(m.mean);
    saved[(2 * g + 1) * channels + c] = static_cast<float>(m.invstd);
    update_running(m, n, momentum, mean, var);
  }
  if (running_mean) running_mean[c] = mean, running_var[c] = var;
}

// The same from the running statistics, which do not move.
__global__ void running_moments(const float* __restrict__ mean,
                                const float* __restrict__ var, float* saved,
                                std::int64_t channels, double epsilon) {
  const std::int64_t c = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (c >= channels) return;
  saved[c] = mean[c];
  saved[channels + c] = static_cast<float>(1 / sqrt(var[c] + epsilon));
}

// y = (x - mean) invstd gamma + beta [+ residual], [ReLU], and the ReLU's mask,
// which may be null. y may lie on x.
template <typename T, int W, bool kResidual>
__global__ void MUSIC_BATCH_NORM_BOUNDS
    normalise(const BatchNormRows rows, const T* x,
              const T* __restrict__ residual, const float* __restrict__ saved,
              const float* __restrict__ gamma, const float* __restrict__ beta,
              bool relu, T* y, std::uint8_t* __restrict__ mask) {
  const BatchNormThread<W> own(rows);
  float mean[W], scale[W], shift[W];
  if (own.inside) {
    const float* p = saved + 2 * own.group * rows.channels + own.channel;
    float invstd[W];
    load(p, mean);
    load(p + rows.channels, invstd);
    load(gamma + own.channel, scale);
    load(beta + own.channel, shift);
#pragma unroll
    for (int j = 0; j < W; ++j) scale[j] *= invstd[j];
  }
  own.template for_rows<sizeof(T) == 2 ? 4 : 2>([&](auto n, std::int64_t at) {
    Loaded<T, W> v[n];
    [[maybe_unused]] Loaded<T, W> r[n];
#pragma unroll
    for (int u = 0; u < n; ++u) {
      v[u].from(x + at + u * own.step());
      if constexpr (kResidual) r[u].from(residual + at + u * own.step());
    }
#pragma unroll
    for (int u = 0; u < n; ++u) {
      const std::int64_t i = at + u * own.step();
      float f[W];
      unsigned bits = 0;
#pragma unroll
      for (int j = 0; j < W; ++j) {
        f[j] = (v[u][j] - mean[j]) * scale[j] + shift[j];
        if constexpr (kResidual) f[j] += r[u][j];
        if (relu) f[j] = f[j] < 0 ? 0.0f : f[j];
        // Of y as it is stored: a small number may round to 0.
        bits |= static_cast<unsigned>(to_real(from_real<T>(f[j])) > 0) << j;
      }
      store(y + i, f);
      if (W == kPack && mask)
        mask[i / kPack] = static_cast<std::uint8_t>(bits);
    }
  });
}

// The mask of y, where the bits of a byte are of several channels' threads.
template <typename T>
__global__ void mask_of(const T* __restrict__ y, std::int64_t n,
                        std::uint8_t* __restrict__ mask) {
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x * kPack;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x) *
                        kPack;
       i < n; i += stride) {
    float v[kPack];
    load_tail(y, i, n, v);
    unsigned bits = 0;
#pragma unroll
    for (int j = 0; j < kPack; ++j)
      bits |= static_cast<unsigned>(v[j] > 0) << j;
    mask[i / kPack] = static_cast<std::uint8_t>(bits);
  }
}

LaunchShape per_channel(const BatchNormRows& rows) {
  return {ceil_div(rows.channels, 128), 1, 1, 128};
}

// The kernels from saved to y; gamma and beta are inputs from `gamma` on.
template <typename T, int W>
void run_normalise(const BatchNormRows& rows, const BatchNormForm& form,
                   const KernelArgs& args, std::size_t gamma,
                   const float* saved) {
  T* y = static_cast<T*>(args.out[0].data);
  std::uint8_t* mask = form.mask ? args.out[2].as<std::uint8_t>() : nullptr;
  const T* residual =
      form.residual ? static_cast<const T*>(args.in.back().data) : nullptr;
  launch(residual ? normalise<T, W, true> : normalise<T, W, false>, rows.grid(),
         args.stream, rows, static_cast<const T*>(args.in[0].data), residual,
         saved, args.in[gamma].f32(), args.in[gamma + 1].f32(), form.spec.relu,
         y, mask);
  if (W == 1 && mask)
    launch(mask_of<T>, grid_stride(args.out[2].elements()), args.stream, y,
           args.out[0].elements(), mask);
}

}  // namespace

void sum_partials(const BatchNormRows& rows, const double* partial,
                  double* stats, void* stream) {
  launch(sum_chunks,
         {ceil_div(2 * rows.channels, 32), rows.groups, 1, kSumThreads}, stream,
         rows, partial, stats);
}

std::unique_ptr<Kernel> make_batch_norm_statistics(const KernelRequest& r,
                                                   BatchNormForm form) {
  const BatchNormRows rows(r.in[0].shape, form.spec.groups);
  return batch_norm_kernel(
      r.in[0].dtype, rows, rows.partial_bytes(),
      [rows]<typename T>(T, auto width, const KernelArgs& args) {
        auto* partial = static_cast<double*>(args.workspace);
        launch(statistics<T, width>, rows.grid(), args.stream, rows,
               static_cast<const T*>(args.in[0].data), partial);
        sum_partials(rows, partial, args.out[0].as<double>(), args.stream);
      });
}

std::unique_ptr<Kernel> make_batch_norm_apply(const KernelRequest& r,
                                              BatchNormForm form) {
  const BatchNormRows rows(r.in[0].shape, form.spec.groups);
  return batch_norm_kernel(
      r.in[0].dtype, rows, 0,
      [rows, form]<typename T>(T, auto width, const KernelArgs& args) {
        float* saved = args.out[1].f32();
        launch(moments, per_channel(rows), args.stream,
               args.in[1].as<double>(), saved,
               form.running ? args.in[4].f32() : nullptr,
               form.running ? args.in[5].f32() : nullptr, rows.channels,
               rows.groups, form.spec.epsilon, form.spec.momentum);
        run_normalise<T, width>(rows, form, args, 2, saved);
      });
}

std::unique_ptr<Kernel> make_batch_norm_inference(const KernelRequest& r,
                                                  BatchNormForm form) {
  const BatchNormRows rows(r.in[0].shape, 1);
  return batch_norm_kernel(
      r.in[0].dtype, rows,
      static_cast<std::size_t>(2 * rows.channels) * sizeof(float),
      [rows, form]<typename T>(T, auto width, const KernelArgs& args) {
        auto* saved = static_cast<float*>(args.workspace);
        launch(running_moments, per_channel(rows), args.stream,
               args.in[3].f32(), args.in[4].f32(), saved, rows.channels,
               form.spec.epsilon);
        run_normalise<T, width>(rows, form, args, 1, saved);
      });
}

}  // namespace music::cuda
