#pragma once
// Parameters: every trainable tensor of a model in one flat block, with
// gradients and momentum at the same offsets in blocks of their own, in the
// order of registration; buffers (running statistics) in a fourth block.
//
// Register everything, then allocate() once; pointers stay valid afterwards.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/core/buffer.h"
#include "engine/core/tensor.h"

namespace music {

// How a tensor starts. Drawn from Philox keyed by (seed, parameter index).
struct Init {
  enum class Kind { kConstant, kUniform, kNormal } kind = Kind::kConstant;
  double value = 0;  // constant; bound of U(-value, value); standard deviation

  static Init constant(double v) { return {Kind::kConstant, v}; }
  static Init uniform(double bound) { return {Kind::kUniform, bound}; }
  static Init normal(double std) { return {Kind::kNormal, std}; }
};

struct ParameterInfo {
  std::string name;         // "backbone.layer1.0.conv1.weight"
  Shape shape;              // convolutions [K,R,S,C], linear [out,in]
  std::int64_t offset = 0;  // elements into the flat block (or buffer block)
  Init init;
};

class Parameters {
 public:
  // Both throw when the name is taken. Buffers are fp32 and not trained.
  int add(const std::string& name, const Shape& shape, Init init);
  int add_buffer(const std::string& name, const Shape& shape, double initial);

  // Makes the blocks. with_training: also gradients and momentum.
  void allocate(bool with_training);
  // Draws initial values and clears gradients, momentum, buffers.
  void initialise(std::uint64_t seed);

  std::span<const ParameterInfo> table() const { return table_; }
  std::span<const ParameterInfo> buffers() const { return buffer_table_; }
  // Elements of the flat block, padding included; sum of shapes without.
  std::int64_t flat_elements() const { return flat_; }
  std::int64_t count() const;

  Tensor value(int i) const { return view(values_, table_, i); }
  Tensor gradient(int i) const { return view(gradients_, table_, i); }
  Tensor momentum(int i) const { return view(momentum_, table_, i); }
  Tensor buffer(int i) const { return view(buffer_block_, buffer_table_, i); }
  float* flat_values() const { return values_.as<float>(); }
  float* flat_gradients() const { return gradients_.as<float>(); }
  float* flat_momentum() const { return momentum_.as<float>(); }
  bool allocated() const { return allocated_; }

 private:
  static Tensor view(const Buffer& block, const std::vector<ParameterInfo>& table,
                     int i);

  std::vector<ParameterInfo> table_, buffer_table_;
  std::int64_t flat_ = 0, buffer_flat_ = 0;
  Buffer values_, gradients_, momentum_, buffer_block_;
  bool allocated_ = false;
};

}  // namespace music
