#include "engine/ops/batch_norm.h"

#include <cmath>

#include "engine/core/buffer.h"
#include "engine/cpu/batch_norm_rows.h"
#include "engine/cpu/elementwise.h"
#include "engine/ops/batch_norm_channel.h"

namespace music::cpu {
namespace {

// Turns run-time flags into compile-time ones for the inner loops.
template <typename F>
void with_flags(bool a, bool b, F&& fn) {
  if (a && b) fn(std::true_type{}, std::true_type{});
  if (a && !b) fn(std::true_type{}, std::false_type{});
  if (!a && b) fn(std::false_type{}, std::true_type{});
  if (!a && !b) fn(std::false_type{}, std::false_type{});
}

class Statistics final : public Kernel {
 public:
  explicit Statistics(const BatchNormRows& rows) : r_(rows) {}
  std::size_t workspace_bytes() const override { return r_.partial_bytes(); }
  void run(const KernelArgs& args) override {
    const float* x = args.in[0].f32();
    const std::int64_t width = r_.width;
    // Per block: the mean, then squares around it, so that fp32 loses nothing
    // when the mean is large; sums over blocks in fp64.
    r_.reduce(static_cast<double*>(args.workspace), args.out[0].as<double>(),
              [&](std::int64_t g, std::int64_t a, std::int64_t b, double* p) {
      const double n = static_cast<double>(b - a);
      for_column_tiles(width, [&](std::int64_t c0, auto columns) {
        float sum[64] = {}, mean[64], square[64] = {};
        for (std::int64_t row = a; row < b; ++row) {
          const float* v = x + r_.at(g, row) + c0;
#pragma omp simd
          for (std::int64_t j = 0; j < columns; ++j) sum[j] += v[j];
        }
#pragma omp simd
        for (std::int64_t j = 0; j < columns; ++j)
          mean[j] = sum[j] / static_cast<float>(n);
        for (std::int64_t row = a; row < b; ++row) {
          const float* v = x + r_.at(g, row) + c0;
#pragma omp simd
          for (std::int64_t j = 0; j < columns; ++j) {
            const float d = v[j] - mean[j];
            square[j] += d * d;
          }
        }
        // sum (x - m)^2 + 2 m sum x - n m^2 = sum x^2 for any m.
        for (std::int64_t j = 0; j < columns; ++j) {
          const double s = sum[j], m = mean[j];
          p[c0 + j] += s;
          p[width + c0 + j] += square[j] + 2 * m * s - n * m * m;
        }
      });
    });
  }

 private:
  BatchNormRows r_;
};

// y = (x - mean) * scale + beta [+ residual], [ReLU], over the widened rows.
// `channel` holds mean, scale, beta of each group, widened: [groups][3][width].
void normalise(const BatchNormRows& r, const BatchNormForm& form,
               const float* x, const float* residual, const float* channel,
               float* y) {
  with_flags(form.spec.relu, residual != nullptr, [&](auto relu, auto add) {
    r.for_rows([&](std::int64_t g, std::int64_t a, std::int64_t b) {
      const float* mean = channel + g * 3 * r.width;
      const float* scale = mean + r.width;
      const float* beta = scale + r.width;
      for (std::int64_t row = a; row < b; ++row) {
        const std::int64_t at = r.at(g, row);
#pragma omp simd
        for (std::int64_t j = 0; j < r.width; ++j) {
          float v = (x[at + j] - mean[j]) * scale[j] + beta[j];
          if constexpr (add) v += residual[at + j];
          if constexpr (relu) v = v < 0 ? 0.0f : v;
          y[at + j] = v;
        }
      }
    });
  });
}

std::size_t channel_bytes(const BatchNormRows& r, int tensors) {
  return static_cast<std::size_t>(r.groups * tensors * r.width) * sizeof(float);
}

// What forward multiplies by: backward forms the same to the bit.
float forward_scale(const BatchMoments& moments, float gamma) {
  return static_cast<float>(moments.invstd * gamma);
}

class Apply final : public Kernel {
 public:
  Apply(const BatchNormRows& rows, const BatchNormForm& form)
      : r_(rows), form_(form) {}
  std::size_t workspace_bytes() const override { return channel_bytes(r_, 3); }
  void run(const KernelArgs& args) override {
    const double* stats = args.in[1].as<double>();
    const float* gamma = args.in[2].f32();
    const float* beta = args.in[3].f32();
    float* running_mean = form_.running ? args.in[4].f32() : nullptr;
    float* running_var = form_.running ? args.in[5].f32() : nullptr;
    const float* residual = form_.residual ? args.in.back().f32() : nullptr;
    float* saved = args.out[1].f32();
    auto* channel = static_cast<float*>(args.workspace);
    const std::int64_t c = r_.channels;
    const double m = form_.spec.momentum;
    for (std::int64_t g = 0; g < r_.groups; ++g) {
      const double* s = stats + g * (2 * c + 1);
      const double n = s[2 * c];
      float* w = channel + g * 3 * r_.width;
      for (std::int64_t j = 0; j < c; ++j) {
        const BatchMoments b =
            batch_moments(s[j], s[c + j], n, form_.spec.epsilon);
        saved[(2 * g) * c + j] = static_cast<float>(b.mean);
        saved[(2 * g + 1) * c + j] = static_cast<float>(b.invstd);
        if (form_.running)
          update_running(b, n, m, running_mean[j], running_var[j]);
        for (std::int64_t k = 0; k < r_.widen; ++k) {
          w[k * c + j] = static_cast<float>(b.mean);
          w[r_.width + k * c + j] = forward_scale(b, gamma[j]);
          w[2 * r_.width + k * c + j] = beta[j];
        }
      }
    }
    normalise(r_, form_, args.in[0].f32(), residual, channel,
              args.out[0].f32());
  }

 private:
  BatchNormRows r_;
  BatchNormForm form_;
};

class Inference final : public Kernel {
 public:
  Inference(const Shape& xs, const BatchNormForm& form)
      : r_(xs, 1), form_(form) {}
  std::size_t workspace_bytes() const override { return channel_bytes(r_, 3); }
  void run(const KernelArgs& args) override {
    const float* gamma = args.in[1].f32();
    const float* beta = args.in[2].f32();
    const float* mean = args.in[3].f32();
    const float* var = args.in[4].f32();
    auto* w = static_cast<float*>(args.workspace);
    for (std::int64_t j = 0; j < r_.width; ++j) {
      const std::int64_t c = j % r_.channels;
      w[j] = mean[c];
      w[r_.width + j] = static_cast<float>(
          gamma[c] / std::sqrt(var[c] + form_.spec.epsilon));
      w[2 * r_.width + j] = beta[c];
    }
    normalise(r_, form_, args.in[0].f32(),
              form_.residual ? args.in[5].f32() : nullptr, w, args.out[0].f32());
  }

 private:
  BatchNormRows r_;
  BatchNormForm form_;
};

// A channel's numbers, widened over a row of r.width: out[j] = of(channel).
template <typename F>
void widen(const BatchNormRows& r, float* out, F&& of) {
  for (std::int64_t c = 0; c < r.channels; ++c) {
    const float v = of(c);
    for (std::int64_t j = c; j < r.width; j += r.channels) out[j] = v;
  }
}

// Forward's scale and beta of a group, which tell where the ReLU was open:
// [2][width]. stats: forward's.
void widen_forward(const BatchNormRows& r, double epsilon, std::int64_t group,
                   const double* stats, const float* gamma, const float* beta,
                   float* out) {
  const std::int64_t c = r.channels;
  const double* s = stats + group * (2 * c + 1);
  widen(r, out, [&](std::int64_t j) {
    return forward_scale(batch_moments(s[j], s[c + j], s[2 * c], epsilon),
                         gamma[j]);
  });
  widen(r, out + r.width, [&](std::int64_t j) { return beta[j]; });
}

// Where the ReLU lets a gradient through: everywhere, where y > 0, or where what
// forward computed from x is.
enum class Gate { kNone, kOutput, kInput };

template <typename F>
void with_gate(Gate gate, bool flag, F&& fn) {
  const auto with = [&](auto g) {
    if (flag) fn(g, std::true_type{});
    if (!flag) fn(g, std::false_type{});
  };
  if (gate == Gate::kNone) with(std::integral_constant<Gate, Gate::kNone>{});
  if (gate == Gate::kOutput) with(std::integral_constant<Gate, Gate::kOutput>{});
  if (gate == Gate::kInput) with(std::integral_constant<Gate, Gate::kInput>{});
}

class BackwardStatistics final : public Kernel {
 public:
  BackwardStatistics(const BatchNormRows& rows, const BatchNormForm& form)
      : r_(rows), form_(form) {}
  std::size_t workspace_bytes() const override {
    return aligned(r_.partial_bytes()) + channel_bytes(r_, 4);
  }
  void run(const KernelArgs& args) override {
    auto* partial = static_cast<double*>(args.workspace);
    // Of each group: mean, invstd, forward's scale and beta.
    auto* channel = reinterpret_cast<float*>(
        static_cast<std::byte*>(args.workspace) + aligned(r_.partial_bytes()));
    const std::size_t x_at = static_cast<std::size_t>(form_.parts);
    const float* dy = args.in[0].f32();
    const float* dy2 = form_.parts == 2 ? args.in[1].f32() : nullptr;
    const float* x = args.in[x_at].f32();
    const Gate gate = form_.remask      ? Gate::kInput
                      : form_.spec.relu ? Gate::kOutput
                                        : Gate::kNone;
    const float* y = gate == Gate::kOutput ? args.in[x_at + 1].f32() : nullptr;
    const float* saved = args.in.back().f32();
    float* masked = form_.masked_dy ? args.out[1].f32() : nullptr;
    double* stats = args.out[0].as<double>();
    const std::int64_t c = r_.channels, width = r_.width;
    for (std::int64_t g = 0; g < r_.groups; ++g) {
      float* v = channel + g * 4 * width;
      widen(r_, v, [&](std::int64_t j) { return saved[2 * g * c + j]; });
      widen(r_, v + width, [&](std::int64_t j) { return saved[(2 * g + 1) * c + j]; });
      if (gate == Gate::kInput)
        widen_forward(r_, form_.spec.epsilon, g, args.in[x_at + 1].as<double>(),
                      args.in[x_at + 2].f32(), args.in[x_at + 3].f32(),
                      v + 2 * width);
    }
    with_gate(gate, dy2 != nullptr, [&](auto gated, auto two) {
      r_.reduce(partial, stats,
                [&](std::int64_t g, std::int64_t a, std::int64_t b, double* p) {
        for_column_tiles(width, [&](std::int64_t c0, auto columns) {
          const float* mean = channel + g * 4 * width + c0;
          const float* invstd = mean + width;
          const float* scale = invstd + width;
          const float* beta = scale + width;
          float sum[64] = {}, product[64] = {};
          for (std::int64_t row = a; row < b; ++row) {
            const std::int64_t at = r_.at(g, row) + c0;
#pragma omp simd
            for (std::int64_t j = 0; j < columns; ++j) {
              const float centred = x[at + j] - mean[j];
              float d = dy[at + j];
              if constexpr (two) d += dy2[at + j];
              if constexpr (gated == Gate::kOutput)
                d = y[at + j] > 0 ? d : 0.0f;
              if constexpr (gated == Gate::kInput)
                d = centred * scale[j] + beta[j] > 0 ? d : 0.0f;
              if constexpr (gated == Gate::kOutput || two) masked[at + j] = d;
              sum[j] += d;
              product[j] += d * (centred * invstd[j]);
            }
          }
          for (std::int64_t j = 0; j < columns; ++j) {
            p[c0 + j] += sum[j];
            p[width + c0 + j] += product[j];
          }
        });
      });
    });
  }

 private:
  BatchNormRows r_;
  BatchNormForm form_;
};

class BackwardApply final : public Kernel {
 public:
  BackwardApply(const BatchNormRows& rows, const BatchNormForm& form)
      : r_(rows), form_(form) {}
  std::size_t workspace_bytes() const override { return channel_bytes(r_, 6); }
  void run(const KernelArgs& args) override {
    const float* dy = args.in[0].f32();
    const float* x = args.in[1].f32();
    const float* saved = args.in[2].f32();
    const double* stats = args.in[3].as<double>();
    const float* gamma = args.in[4].f32();
    const double* own =
        form_.combined ? args.in.back().as<double>() : stats;
    float* dx = args.out[0].f32();
    float* dgamma = args.out[1].f32();
    float* dbeta = args.out[2].f32();
    const std::int64_t c = r_.channels, width = r_.width;
    // Of each group: scale, mean_dy, mean, slope, forward's scale and beta.
    auto* w = static_cast<float*>(args.workspace);
    for (std::int64_t j = 0; j < c; ++j) {
      double sum_gamma = 0, sum_beta = 0;
      for (std::int64_t g = 0; g < r_.groups; ++g) {
        const double* s = stats + g * (2 * c + 1);
        const BatchNormGradient d = batch_norm_gradient(
            gamma[j], saved[(2 * g + 1) * c + j], s[j], s[c + j], s[2 * c]);
        sum_beta += own[g * (2 * c + 1) + j];
        sum_gamma += own[g * (2 * c + 1) + c + j];
        float* v = w + g * 6 * width;
        for (std::int64_t i = j; i < width; i += c) {
          v[i] = d.scale;
          v[width + i] = d.mean_dy;
          v[2 * width + i] = saved[2 * g * c + j];
          v[3 * width + i] = d.slope;
        }
      }
      dgamma[j] = static_cast<float>(sum_gamma);
      dbeta[j] = static_cast<float>(sum_beta);
    }
    if (form_.remask)
      for (std::int64_t g = 0; g < r_.groups; ++g)
        widen_forward(r_, form_.spec.epsilon, g, args.in[5].as<double>(), gamma,
                      args.in[6].f32(), w + (g * 6 + 4) * width);
    with_flags(form_.remask, false, [&](auto remask, auto) {
      r_.for_rows([&](std::int64_t g, std::int64_t first, std::int64_t last) {
        const float* scale = w + g * 6 * width;
        const float* mean_dy = scale + width;
        const float* mean = mean_dy + width;
        const float* slope = mean + width;
        const float* forward = slope + width;
        const float* beta = forward + width;
        for (std::int64_t row = first; row < last; ++row) {
          const std::int64_t at = r_.at(g, row);
#pragma omp simd
          for (std::int64_t j = 0; j < width; ++j) {
            const float centred = x[at + j] - mean[j];
            float d = dy[at + j];
            if constexpr (remask)
              d = centred * forward[j] + beta[j] > 0 ? d : 0.0f;
            dx[at + j] = scale[j] * (d - mean_dy[j]) - centred * slope[j];
          }
        }
      });
    });
  }

 private:
  BatchNormRows r_;
  BatchNormForm form_;
};

}  // namespace

std::unique_ptr<Kernel> make_batch_norm_statistics(const KernelRequest& r,
                                                   BatchNormForm form) {
  return std::make_unique<Statistics>(
      BatchNormRows(r.in[0].shape, form.spec.groups));
}

std::unique_ptr<Kernel> make_batch_norm_apply(const KernelRequest& r,
                                              BatchNormForm form) {
  return std::make_unique<Apply>(
      BatchNormRows(r.in[0].shape, form.spec.groups), form);
}

std::unique_ptr<Kernel> make_batch_norm_inference(const KernelRequest& r,
                                                  BatchNormForm form) {
  require_f32(r, "batch_norm_inference");
  return std::make_unique<Inference>(r.in[0].shape, form);
}

std::unique_ptr<Kernel> make_batch_norm_backward_statistics(
    const KernelRequest& r, BatchNormForm form) {
  return std::make_unique<BackwardStatistics>(
      BatchNormRows(r.in[0].shape, form.spec.groups), form);
}

std::unique_ptr<Kernel> make_batch_norm_backward_apply(const KernelRequest& r,
                                                       BatchNormForm form) {
  return std::make_unique<BackwardApply>(
      BatchNormRows(r.in[1].shape, form.spec.groups), form);
}

}  // namespace music::cpu
