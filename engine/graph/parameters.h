#pragma once
// Parameters: every trainable tensor of a model in one flat block, with
// gradients and momentum at the same offsets in blocks of their own, in the
// order of registration; buffers (running statistics) in a fourth block. All
// fp32. For 16-bit training a fifth block holds the values rounded to F16 or
// BF16: what kernels compute with; the optimiser keeps it up to date.
//
// A target network (BYOL, MoCo) is one block more at the same offsets, with a
// rounded copy of its own: a moving average of the values, which the optimiser
// moves after them (update_state.h).
//
// Register everything, then allocate() once; pointers stay valid afterwards,
// and lead to memory of the device: HostParameters reads and writes them.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/core/buffer.h"
#include "engine/core/tensor.h"

namespace music {

// How a tensor starts. Drawn from Philox keyed by (seed, parameter index).
struct Init {
  enum class Kind {
    kConstant, kUniform, kNormal,
    kUnitRows,  // of a matrix: random directions
  } kind = Kind::kConstant;
  double value = 0;  // constant; bound of U(-value, value); standard deviation
  int as = -1;       // the same draw as that parameter's; -1: its own

  static Init constant(double v) { return {Kind::kConstant, v}; }
  static Init uniform(double bound) { return {Kind::kUniform, bound}; }
  static Init normal(double std) { return {Kind::kNormal, std}; }
  static Init unit_rows() { return {Kind::kUnitRows, 1}; }
};

// Parameters of a group share a learning rate, and a weight decay where that is
// not the optimiser's (update_state.h).
constexpr int kMostGroups = 64;

struct ParameterInfo {
  std::string name;         // "backbone.layer1.0.conv1.weight"
  Shape shape;              // convolutions [K,R,S,C], linear [out,in]
  std::int64_t offset = 0;  // elements into the flat block (or buffer block)
  Init init;
  bool frozen = false;
  int group = 0;
  bool decays = true;  // false: weight decay leaves it alone
};

struct ParameterStorage {
  bool training = false;  // gradients and momentum too
  Device device = Device::kCpu;
  DType compute = DType::kF32;  // F16, BF16: a rounded copy of the values
};

class Parameters {
 public:
  // Both throw when the name is taken. Buffers are fp32 and not trained.
  int add(const std::string& name, const Shape& shape, Init init);
  int add_buffer(const std::string& name, const Shape& shape, Init init);
  int add_buffer(const std::string& name, const Shape& shape, double initial) {
    return add_buffer(name, shape, Init::constant(initial));
  }

  // A frozen parameter has no gradient and is not updated, decay included.
  // Before graphs are recorded and optimisers made.
  void freeze(int i) { table_.at(static_cast<std::size_t>(i)).frozen = true; }
  // 0 to kMostGroups - 1. Before optimisers are made.
  void set_group(int i, int group);
  // No weight decay, whatever the optimiser and its group have. Before
  // optimisers are made.
  void exempt_from_decay(int i) {
    table_.at(static_cast<std::size_t>(i)).decays = false;
  }
  // Asks for a target network, in training. Before allocate().
  void with_target();

  // Says where the blocks will be, so that graphs can be recorded and planned
  // before anything is allocated.
  void set_storage(const ParameterStorage& storage);
  void allocate();
  void allocate(bool training) {
    set_storage({.training = training});
    allocate();
  }
  // Draws initial values, which the target starts from, and clears gradients
  // and momentum. The same values on every device.
  void initialise(std::uint64_t seed);

  std::span<const ParameterInfo> table() const {
    return {table_.data(), table_.size()};
  }
  std::span<const ParameterInfo> buffers() const {
    return {buffer_table_.data(), buffer_table_.size()};
  }
  // Elements of the flat block, padding included; sum of shapes without.
  std::int64_t flat_elements() const { return flat_; }
  std::int64_t count() const;

  Tensor value(int i) const { return view(values_, table_, i); }
  Tensor gradient(int i) const { return view(gradients_, table_, i); }
  Tensor momentum(int i) const { return view(momentum_, table_, i); }
  Tensor buffer(int i) const { return view(buffer_block_, buffer_table_, i); }
  Tensor target(int i) const { return view(target_, table_, i); }
  // The value or target rounded to storage().compute; itself for F32.
  Tensor compute_value(int i) const;
  Tensor compute_target(int i) const;
  float* flat_values() const { return values_.as<float>(); }
  float* flat_gradients() const { return gradients_.as<float>(); }
  float* flat_momentum() const { return momentum_.as<float>(); }
  float* flat_target() const { return target_.as<float>(); }  // null: none
  void* flat_compute_values() const { return compute_.data(); }  // null: F32
  void* flat_compute_target() const { return compute_target_.data(); }
  bool has_target() const { return target_wanted_ && storage_.training; }
  bool allocated() const { return allocated_; }
  const ParameterStorage& storage() const { return storage_; }
  Device device() const { return storage_.device; }

 private:
  friend class HostParameters;
  static Tensor view(const Buffer& block, const std::vector<ParameterInfo>& table,
                     int i);
  Tensor rounded(const Buffer& block, int i) const;

  std::vector<ParameterInfo> table_, buffer_table_;
  std::int64_t flat_ = 0, buffer_flat_ = 0;
  Buffer values_, gradients_, momentum_, target_, buffer_block_;
  Buffer compute_, compute_target_;
  ParameterStorage storage_;
  bool target_wanted_ = false;
  bool allocated_ = false;
};

// Parameters as host memory: the object itself on the CPU, a copy elsewhere.
//   HostParameters host(parameters);
//   host->value(3).f32()[0] = 1;
//   host.write_back();
class HostParameters {
 public:
  // Copies all blocks, gradients only on request. parameters must outlive it.
  explicit HostParameters(Parameters& parameters, bool gradients = false);
  Parameters& operator*() { return copy_ ? *copy_ : original_; }
  Parameters* operator->() { return &**this; }
  // Values and target (and their rounded copies), momentum and buffers to the
  // device.
  void write_back();

 private:
  Parameters& original_;
  std::optional<Parameters> copy_;
};

}  // namespace music
