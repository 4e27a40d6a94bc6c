#include "engine/cuda/batch_norm_rows.h"
#include "engine/ops/batch_norm.h"
#include "engine/ops/batch_norm_channel.h"

namespace music::cuda {
namespace {

// Sums of dy' and dy' xhat. mask may be null, and masked_dy, which may lie on
// dy, too. kTwo: dy comes in two parts.
template <typename T, int W, bool kTwo>
__global__ void MUSIC_BATCH_NORM_BOUNDS
    statistics(const BatchNormRows rows, const T* dy, const T* __restrict__ dy2,
               const T* __restrict__ x, const std::uint8_t* __restrict__ mask,
               const float* __restrict__ saved, T* masked_dy,
               double* __restrict__ partial) {
  const BatchNormThread<W> own(rows);
  const float* means = saved + 2 * own.group * rows.channels;
  float mean[W] = {}, sum[W] = {}, product[W] = {};
  if (own.inside) load(means + own.channel, mean);
  constexpr int kUnroll = kTwo && sizeof(T) == 4 ? 1 : 2;  // no spills
  own.template for_rows<kUnroll>([&](auto n, std::int64_t at) {
    Loaded<T, W> d[n], v[n];
    [[maybe_unused]] Loaded<T, W> e[n];
    unsigned bits[n];
#pragma unroll
    for (int u = 0; u < n; ++u) {
      const std::int64_t i = at + u * own.step();
      d[u].from(dy + i);
      if constexpr (kTwo) e[u].from(dy2 + i);
      v[u].from(x + i);
      bits[u] = mask ? mask_bits<W>(mask, i) : ~0u;
    }
#pragma unroll
    for (int u = 0; u < n; ++u) {
      float f[W];
#pragma unroll
      for (int j = 0; j < W; ++j) {
        f[j] = d[u][j];
        if constexpr (kTwo) f[j] += e[u][j];
        if ((bits[u] >> j & 1u) == 0) f[j] = 0;
        sum[j] += f[j];
        product[j] += f[j] * (v[u][j] - mean[j]);
      }
      if (masked_dy) store(masked_dy + at + u * own.step(), f);
    }
  });
  own.reduce(sum, product, partial,
             [&](std::int64_t channel, double&, double& p) {
               p *= means[rows.channels + channel];  // invstd
             });
}

// table [groups, 3, C]: scale, mean_dy and slope; dgamma and dbeta, from the
// statistics of x alone.
__global__ void channel_gradients(const double* __restrict__ stats,
                                  const double* __restrict__ own,
                                  const float* __restrict__ saved,
                                  const float* __restrict__ gamma,
                                  std::int64_t channels, int groups,
                                  float* table, float* dgamma, float* dbeta) {
  const std::int64_t c = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (c >= channels) return;
  double sum_gamma = 0, sum_beta = 0;
  for (int g = 0; g < groups; ++g) {
    const std::int64_t at = g * (2 * channels + 1);
    const double* s = stats + at;
    const BatchNormGradient d =
        batch_norm_gradient(gamma[c], saved[(2 * g + 1) * channels + c], s[c],
                            s[channels + c], s[2 * channels]);
    float* t = table + 3 * g * channels + c;
    t[0] = d.scale;
    t[channels] = d.mean_dy;
    t[2 * channels] = d.slope;
    sum_beta += own[at + c];
    sum_gamma += own[at + channels + c];
  }
  dgamma[c] = static_cast<float>(sum_gamma);
  dbeta[c] = static_cast<float>(sum_beta);
}

// dx = scale (dy' - mean_dy) - (x - mean) slope; dx may lie on dy. mask may be
// null: then dy is dy'.
template <typename T, int W>
__global__ void MUSIC_BATCH_NORM_BOUNDS
    apply(const BatchNormRows rows, const T* dy, const T* __restrict__ x,
          const std::uint8_t* __restrict__ mask,
          const float* __restrict__ saved, const float* __restrict__ table,
          T* dx) {
  const BatchNormThread<W> own(rows);
  float mean[W], scale[W], mean_dy[W], slope[W];
  if (own.inside) {
    const float* t = table + 3 * own.group * rows.channels + own.channel;
    load(t, scale);
    load(t + rows.channels, mean_dy);
    load(t + 2 * rows.channels, slope);
    load(saved + 2 * own.group * rows.channels + own.channel, mean);
  }
  own.template for_rows<2>([&](auto n, std::int64_t at) {
    Loaded<T, W> d[n], v[n];
    unsigned bits[n];
#pragma unroll
    for (int u = 0; u < n; ++u) {
      const std::int64_t i = at + u * own.step();
      d[u].from(dy + i);
      v[u].from(x + i);
      bits[u] = mask ? mask_bits<W>(mask, i) : ~0u;
    }
#pragma unroll
    for (int u = 0; u < n; ++u) {
      float f[W];
#pragma unroll
      for (int j = 0; j < W; ++j) {
        f[j] = bits[u] >> j & 1u ? d[u][j] : 0.0f;
        f[j] = scale[j] * (f[j] - mean_dy[j]) - (v[u][j] - mean[j]) * slope[j];
      }
      store(dx + at + u * own.step(), f);
    }
  });
}

}  // namespace

std::unique_ptr<Kernel> make_batch_norm_backward_statistics(
    const KernelRequest& r, BatchNormForm form) {
  MUSIC_CHECK(form.mask == form.spec.relu,
              "[batch_norm] a GPU keeps the ReLU as a mask");
  const BatchNormRows rows(r.in[0].shape, form.spec.groups);
  return batch_norm_kernel(
      r.in[0].dtype, rows, rows.partial_bytes(),
      [rows, form]<typename T>(T, auto width, const KernelArgs& args) {
        const auto in = [&](std::size_t i) {
          return static_cast<const T*>(args.in[i].data);
        };
        const std::size_t x = form.parts == 2 ? 2 : 1;
        auto* partial = static_cast<double*>(args.workspace);
        launch(form.parts == 2 ? statistics<T, width, true>
                               : statistics<T, width, false>,
               rows.grid(), args.stream, rows, in(0),
               form.parts == 2 ? in(1) : nullptr, in(x),
               form.mask ? args.in[x + 1].as<std::uint8_t>() : nullptr,
               args.in.back().f32(),
               form.masked_dy ? static_cast<T*>(args.out[1].data) : nullptr,
               partial);
        sum_partials(rows, partial, args.out[0].as<double>(), args.stream);
      });
}

std::unique_ptr<Kernel> make_batch_norm_backward_apply(const KernelRequest& r,
                                                       BatchNormForm form) {
  const BatchNormRows rows(r.in[1].shape, form.spec.groups);
  const bool masks = form.spec.relu && !form.masked_dy;
  return batch_norm_kernel(
      r.in[1].dtype, rows,
      static_cast<std::size_t>(3 * rows.channels * rows.groups) *
          sizeof(float),
      [rows, masks, combined = form.combined]<typename T>(
          T, auto width, const KernelArgs& args) {
        const float* saved = args.in[2].f32();
        const double* stats = args.in[3].as<double>();
        auto* table = static_cast<float*>(args.workspace);
        launch(channel_gradients, {ceil_div(rows.channels, 128), 1, 1, 128},
               args.stream, stats,
               combined ? args.in.back().as<double>() : stats, saved,
               args.in[4].f32(), rows.channels, rows.groups, table, args.out[1].f32(),
               args.out[2].f32());
        launch(apply<T, width>, rows.grid(), args.stream, rows,
               static_cast<const T*>(args.in[0].data),
               static_cast<const T*>(args.in[1].data),
               masks ? args.in[5].as<std::uint8_t>() : nullptr, saved, table,
               static_cast<T*>(args.out[0].data));
      });
}

}  // namespace music::cuda
