#include "engine/optim/optimizer.h"

#include <cmath>
#include <vector>

#include "engine/core/buffer.h"
#include "engine/cuda/block_reduce.h"
#include "engine/cuda/elements.h"
#include "engine/cuda/launch.h"
#include "engine/optim/kept_buffers.h"
#include "engine/optim/update.h"

namespace music::cuda {
namespace {

constexpr int kThreads = 256;
// Elements of a block's share: some 16-byte accesses a thread, and blocks for
// every multiprocessor from the parameters of a small network.
constexpr std::int64_t kBlock = 16384;

// The blocks of a parameter, of which there is at least one.
struct ParameterRange {
  int first, last;
  RuleOf of;
};

struct Squares { double value, update; };

__device__ float unscale(const UpdateState& state) {
  return 1.0f / state.loss_scale;
}

// Sums of squares of a block's p and g + decay p, and *failed where there is
// something that is not finite.
__global__ void __launch_bounds__(kThreads)
    sum_squares(const ParameterBlock* __restrict__ blocks,
                const float* __restrict__ values,
                const float* __restrict__ gradients, const UpdateState* state,
                const float* loss, const ParameterRange* __restrict__ parameters,
                OptimizerSpec spec, Squares* __restrict__ partial,
                int* failed) {
  const ParameterBlock block = blocks[blockIdx.x];
  const float decay =
      weight_decay(spec, *state, parameters[block.parameter].of);
  const float factor = unscale(*state);
  double value = 0, update = 0;
#pragma unroll 2
  for (std::int64_t i = block.begin + threadIdx.x * kPack; i < block.end;
       i += kThreads * kPack) {
    float p[kPack], g[kPack];
    load_tail(values, i, block.end, p);
    load_tail(gradients, i, block.end, g);
#pragma unroll
    for (int j = 0; j < kPack; ++j) {
      const double v = p[j], d = g[j] * factor + decay * p[j];
      value += v * v;
      update += d * d;
    }
  }
  value = block_sum(value);
  update = block_sum(update);
  if (threadIdx.x != 0) return;
  partial[blockIdx.x] = {value, update};
  const bool finite = std::isfinite(update) &&
                      (blockIdx.x > 0 || !loss || std::isfinite(*loss));
  if (!finite) atomicExch(failed, 1);
}

// The rule of each parameter; a block a parameter.
__global__ void __launch_bounds__(kThreads)
    make_rules(const ParameterRange* __restrict__ parameters,
               const Squares* __restrict__ partial, const UpdateState* state,
               OptimizerSpec spec, UpdateRule* rules) {
  const ParameterRange range = parameters[blockIdx.x];
  double value = 0, update = 0;
  for (int b = range.first + static_cast<int>(threadIdx.x); b < range.last;
       b += kThreads) {
    value += partial[b].value;
    update += partial[b].update;
  }
  value = block_sum(value);
  update = block_sum(update);
  if (threadIdx.x == 0)
    rules[blockIdx.x] =
        update_rule(spec, *state, range.of, value, update);
}

// Applies the rules, unless something failed; target: null where there is none.
// rounded: 16-bit copies.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    update(const ParameterBlock* __restrict__ blocks,
           const UpdateRule* __restrict__ rules, const UpdateState* state,
           const int* failed, const float* __restrict__ gradients,
           float* __restrict__ values, float* __restrict__ momentum,
           float* __restrict__ target, T* __restrict__ rounded_values,
           T* __restrict__ rounded_target) {
  if (*failed) return;
  const ParameterBlock block = blocks[blockIdx.x];
  const UpdateRule rule = rules[block.parameter];
  if (rule.still && !target) return;
  const float factor = unscale(*state), tau = state->knobs.target_momentum;
  for (std::int64_t i = block.begin + threadIdx.x * kPack; i < block.end;
       i += kThreads * kPack) {
    float p[kPack];
    load_tail(values, i, block.end, p);
    if (!rule.still) {
      float g[kPack], mu[kPack];
      load_tail(gradients, i, block.end, g);
      load_tail(momentum, i, block.end, mu);
#pragma unroll
      for (int j = 0; j < kPack; ++j) rule(p[j], g[j] * factor, mu[j]);
      store_tail(values, i, block.end, p);
      store_tail(momentum, i, block.end, mu);
      if constexpr (sizeof(T) == 2)
        store_tail(rounded_values, i, block.end, p);
    }
    if (!target) continue;
    float t[kPack];
    load_tail(target, i, block.end, t);
#pragma unroll
    for (int j = 0; j < kPack; ++j) follow(t[j], p[j], tau);
    store_tail(target, i, block.end, t);
    if constexpr (sizeof(T) == 2)
      store_tail(rounded_target, i, block.end, t);
  }
}

// Last, by one thread: nothing has failed yet in the next step.
__global__ void finish(UpdateState* state, int* failed, LossScaleSpec scale) {
  if (threadIdx.x != 0) return;
  finish_update(*state, *failed == 0, scale);
  *failed = 0;
}

__global__ void __launch_bounds__(kThreads)
    restore_unless_applied(float* __restrict__ to, const float* __restrict__ from,
                           std::int64_t n, const UpdateState* state) {
  if (state->applied) return;
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
       i < n; i += stride)
    to[i] = from[i];
}

// A copy of a table in device memory.
template <typename T>
Buffer device_table(const std::vector<T>& table) {
  const std::size_t bytes = table.size() * sizeof(T);
  Buffer buffer(bytes, Memory::kDevice);
  upload(buffer.data(), table.data(), bytes, Device::kCuda);
  return buffer;
}

class CudaOptimizer final : public Optimizer {
 public:
  CudaOptimizer(Parameters& parameters, const OptimizerSpec& spec,
                const LossScaleSpec& scale)
      : parameters_(parameters), spec_(spec), scale_(scale) {
    MUSIC_CHECK(parameters.allocated() && parameters.storage().training,
                "[optimizer] parameters are not allocated for training");
    const auto blocks = parameter_blocks(parameters, kBlock);
    std::vector<ParameterRange> ranges;  // empty of frozen parameters
    for (const ParameterInfo& p : parameters.table())
      ranges.push_back({0, 0, RuleOf(p)});
    for (int b = 0; b < static_cast<int>(blocks.size()); ++b) {
      ParameterRange& range = ranges[static_cast<std::size_t>(
          blocks[static_cast<std::size_t>(b)].parameter)];
      if (range.last == 0) range.first = b;
      range.last = b + 1;
    }
    block_count_ = static_cast<std::int64_t>(blocks.size());
    parameter_count_ = static_cast<std::int64_t>(ranges.size());
    blocks_ = device_table(blocks);
    ranges_ = device_table(ranges);
    partial_ = Buffer(blocks.size() * sizeof(Squares), Memory::kDevice);
    rules_ = Buffer(ranges.size() * sizeof(UpdateRule), Memory::kDevice);
    failed_ = Buffer(sizeof(int), Memory::kDevice);
  }

  void step(UpdateState* state, const float* loss, void* stream) override {
    const LaunchShape blocks = {block_count_, 1, 1, kThreads};
    const auto* table = blocks_.as<const ParameterBlock>();
    const auto* ranges = ranges_.as<const ParameterRange>();
    float* values = parameters_.flat_values();
    const float* gradients = parameters_.flat_gradients();
    int* failed = failed_.as<int>();
    launch(sum_squares, blocks, stream, table, values, gradients, state, loss,
           ranges, spec_, partial_.as<Squares>(), failed);
    launch(make_rules, {parameter_count_, 1, 1, kThreads}, stream, ranges,
           partial_.as<const Squares>(), state, spec_,
           rules_.as<UpdateRule>());
    const auto run_update = [&]<typename T>(T) {
      launch(update<T>, blocks, stream, table, rules_.as<const UpdateRule>(),
             state, failed, gradients, values, parameters_.flat_momentum(),
             parameters_.flat_target(),
             static_cast<T*>(parameters_.flat_compute_values()),
             static_cast<T*>(parameters_.flat_compute_target()));
    };
    with_real_type(parameters_.storage().compute, "optimizer", run_update);
    launch(finish, {1, 1, 1, 32}, stream, state, failed, scale_);
  }

 private:
  Parameters& parameters_;
  OptimizerSpec spec_;
  LossScaleSpec scale_;
  std::int64_t block_count_ = 0, parameter_count_ = 0;
  Buffer blocks_, ranges_;           // ParameterBlock, ParameterRange
  Buffer partial_, rules_, failed_;  // Squares, UpdateRule, int
};

}  // namespace

void restore_buffers(float* to, const float* from, std::int64_t n,
                     const UpdateState* state, void* stream) {
  launch(restore_unless_applied, grid_stride(n), stream, to, from, n, state);
}

std::unique_ptr<Optimizer> make_optimizer(Parameters& parameters,
                                          const OptimizerSpec& spec,
                                          const LossScaleSpec& scale) {
  return std::make_unique<CudaOptimizer>(parameters, spec, scale);
}

}  // namespace music::cuda
