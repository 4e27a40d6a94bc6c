#pragma once
// One row of the table of cases (cases.h): an op on given tensors, what the
// double-precision reference says, and the run that compares them.

#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/core/half.h"
#include "engine/graph/autograd.h"
#include "engine/ops/cast.h"
#include "tests/support/golden.h"
#include "tests/support/graph_run.h"
#include "tests/support/margin.h"
#include "tests/support/reference.h"

namespace music::test {

using reference::Array;

struct CaseTensor {
  enum class Role { kTrained, kBuffer, kData };

  Array value;
  Role role = Role::kTrained;
  DType dtype = DType::kF32;  // kData only; the others are F32
  bool wide = false;  // F32 also where the op computes with 16 bits

  Shape shape() const { return Shape(value.shape); }
};

struct CaseResult {
  Array y;
  std::vector<Array> gradients;  // per tensor; empty: none
  std::vector<Array> tensors;    // after the run: buffers may have moved
};

using Role = CaseTensor::Role;
using Values = std::span<const Value>;

struct OpCase {
  std::string name;
  std::vector<CaseTensor> tensors;
  // Records the op; the result is F32.
  std::function<Value(Graph&, Values)> record;
  // Fills y and gradients, and updates buffers, for dy the gradient of y.
  std::function<void(CaseResult&, const Array& dy)> reference;
  double tolerance = kFp32;  // NMSE in F32; 0: equal
  bool wide_only = false;    // the op takes F32 alone

  // NMSE; docs/numerics.md has the reasons.
  static constexpr double kFp32 = 1e-9, kF16 = 3e-5, kBF16 = 1e-4;
};

// What a row of the table is run on. dtype: of the tensors that are not wide.
struct CaseTarget {
  Device device = Device::kCpu;
  DType dtype = DType::kF32;
};

// Uniform in offset +- scale / 2, a function of the name.
inline Array uniform(const std::string& name, Dims dims, double scale = 2,
                     double offset = 0) {
  return Array(dims, hashed(name, elements(dims), scale, offset));
}

// The bytes of a data tensor as its dtype holds it.
inline std::vector<std::byte> encode(const CaseTensor& t) {
  std::vector<std::byte> bytes(t.value.data.size() * size_of(t.dtype));
  for (std::size_t i = 0; i < t.value.data.size(); ++i) {
    const auto put = [&](auto v) {
      std::memcpy(bytes.data() + i * sizeof v, &v, sizeof v);
    };
    const double v = t.value.data[i];
    switch (t.dtype) {
      case DType::kU8: put(static_cast<std::uint8_t>(v)); break;
      case DType::kI32: put(static_cast<std::int32_t>(v)); break;
      case DType::kF64: put(v); break;
      default: put(static_cast<float>(v)); break;
    }
  }
  return bytes;
}

// The nearest value that dtype holds.
inline double rounded(double v, DType dtype) {
  const float f = static_cast<float>(v);
  return dtype == DType::kF16    ? static_cast<double>(to_float(to_half(f)))
         : dtype == DType::kBF16 ? static_cast<double>(to_float(to_bfloat16(f)))
                                 : static_cast<double>(f);
}

// The case with its tensors as the target holds them.
inline OpCase case_for(OpCase c, DType dtype) {
  if (dtype == DType::kF32) return c;
  c.name += fmt::format(" in {}", name_of(dtype));
  c.tolerance = dtype == DType::kF16 ? OpCase::kF16 : OpCase::kBF16;
  for (CaseTensor& t : c.tensors)
    if (!t.wide && t.role != CaseTensor::Role::kBuffer &&
        t.dtype == DType::kF32)
      for (double& v : t.value.data) v = rounded(v, dtype);
  return c;
}

// A case recorded, with the tensors it runs on.
struct RecordedCase {
  Parameters parameters;
  std::vector<int> slots;  // per tensor: index of parameter or buffer
  std::vector<std::vector<std::byte>> data;
  std::vector<Value> values;
  Value y, dy;
  std::vector<float> dy_data;
  CaseTarget target;

  RecordedCase(const OpCase& c, const CaseTarget& on) : target(on) {
    for (const CaseTensor& t : c.tensors) {
      const std::string name = fmt::format("t{}", slots.size());
      data.push_back(encode(t));
      slots.push_back(t.role == Role::kTrained
                          ? parameters.add(name, t.shape(), {})
                      : t.role == Role::kBuffer
                          ? parameters.add_buffer(name, t.shape(), 0)
                          : -1);
    }
    parameters.set_storage({.training = true, .device = target.device});
    parameters.allocate();
    reset(c);
  }
  // Gives every tensor its value of the start back.
  void reset(const OpCase& c) {
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if (slots[i] < 0) continue;
      const Tensor t = c.tensors[i].role == Role::kTrained
                           ? parameters.value(slots[i])
                           : parameters.buffer(slots[i]);
      upload(t.data, data[i].data(), data[i].size(), target.device);
    }
    const std::vector<float> unwritten(
        static_cast<std::size_t>(parameters.flat_elements()), kUnwritten);
    upload(parameters.flat_gradients(), unwritten.data(),
           unwritten.size() * sizeof(float), target.device);
  }
  Graph record(const OpCase& c) {
    Graph g(parameters);
    values.clear();
    for (std::size_t i = 0; i < slots.size(); ++i)
      values.push_back(
          c.tensors[i].role == Role::kTrained
              ? g.parameter(slots[i])
          : c.tensors[i].role == Role::kBuffer
              ? g.buffer(slots[i])
              : g.input("data", c.tensors[i].shape(), c.tensors[i].dtype));
    std::vector<Value> narrow = values;
    if (target.dtype != DType::kF32)
      for (std::size_t i = 0; i < slots.size(); ++i)
        if (!c.tensors[i].wide && c.tensors[i].role != Role::kBuffer &&
            c.tensors[i].dtype == DType::kF32)
          narrow[i] = cast(g, values[i], target.dtype);
    y = cast(g, c.record(g, narrow), DType::kF32);
    g.keep(y);
    dy = g.input("dy", g.shape(y), DType::kF32);
    dy_data = hashed(c.name + "/dy", g.shape(y).elements(), 2);
    for (float& v : dy_data)
      v = static_cast<float>(rounded(static_cast<double>(v), target.dtype));
    backward(g, inject_gradient(g, y, dy), g.constant({1}, 1));
    return g;
  }

  static constexpr float kUnwritten = -12345;
};

// Runs a case node by node between guards and compares with the reference,
// then through the planner and the executable, which must give the same bits.
// Returns the largest NMSE.
inline double check_case(const OpCase& table_row, const CaseTarget& on = {}) {
  const OpCase c = case_for(table_row, on.dtype);
  CAPTURE(c.name);
  RecordedCase r(c, on);
  Graph guarded = r.record(c);
  std::map<int, const void*> inputs{{r.dy.id, r.dy_data.data()}};
  for (std::size_t i = 0; i < r.slots.size(); ++i)
    if (r.slots[i] < 0) inputs[r.values[i].id] = r.data[i].data();
  const GuardedRun run(std::move(guarded), r.parameters, inputs);
  CHECK(run.problem() == "");

  CaseResult expected;
  for (const CaseTensor& t : c.tensors) expected.tensors.push_back(t.value);
  expected.gradients.resize(c.tensors.size());
  const Shape shape = run.tensor(r.y).shape;
  const auto dims = shape.dims();
  c.reference(expected, Array({dims.begin(), dims.end()}, r.dy_data));

  BoundExecutable step(r.record(c), r.parameters);
  step.set_input(r.dy, r.dy_data.data());
  for (std::size_t i = 0; i < r.slots.size(); ++i)
    if (r.slots[i] < 0) step.set_input(r.values[i], r.data[i].data());
  step.run();

  double worst = 0;
  const auto compare = [&](const std::string& what, std::size_t tensor,
                           const Tensor& actual, const Tensor& executed,
                           const Array& truth) {
    CAPTURE(what);
    CAPTURE(tensor);
    REQUIRE(actual.data != nullptr);
    const std::vector<float> a = floats(actual, on.device);
    const std::vector<float> b = floats(executed, on.device);
    const double error = nmse(a, truth.data);
    CHECK(within(error, c.tolerance, c.name + ", " + what));
    CHECK(std::memcmp(a.data(), b.data(), actual.bytes()) == 0);
    if (!(error <= worst)) worst = error;
  };
  compare("y", 0, run.tensor(r.y), step->tensor(r.y), expected.y);
  for (std::size_t i = 0; i < r.slots.size(); ++i) {
    const int slot = r.slots[i];
    if (c.tensors[i].role == Role::kBuffer)
      compare("buffer", i, run.slot(Storage::kBuffer, slot),
              r.parameters.buffer(slot), expected.tensors[i]);
    if (c.tensors[i].role != Role::kTrained) continue;
    if (!expected.gradients[i].data.empty())
      compare("gradient", i, run.slot(Storage::kGradient, slot),
              r.parameters.gradient(slot), expected.gradients[i]);
    else
      CHECK(floats(r.parameters.gradient(slot), on.device)[0] ==
            RecordedCase::kUnwritten);
  }
  return worst;
}

}  // namespace music::test
