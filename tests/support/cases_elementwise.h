#pragma once
// Cases of relu, add, reduce, scale, image_normalize and cast.

#include <cmath>

#include "engine/ops/add.h"
#include "engine/ops/cast.h"
#include "engine/ops/image_normalize.h"
#include "engine/ops/reduce.h"
#include "engine/ops/relu.h"
#include "engine/ops/scale.h"
#include "tests/support/op_case.h"

namespace music::test {

inline void add_elementwise_cases(std::vector<OpCase>& cases,
                                  const std::vector<Dims>& shapes = {
                                      {1}, {2, 3, 5, 33}, {1, 7, 7, 1},
                                      {40001}}) {
  for (const Dims& dims : shapes) {
    const std::string suffix = fmt::format(" [{}]", fmt::join(dims, ","));
    const Array x = uniform("e/x", dims), other = uniform("e/b", dims);
    OpCase c;
    c.name = "relu" + suffix;
    c.tensors = {{x}};
    c.tensors[0].value[0] = 0;  // the gradient at 0 is 0
    c.tolerance = 0;
    c.record = [](Graph& g, Values v) { return relu(g, v[0]); };
    c.reference = [](CaseResult& r, const Array& dy) {
      r.y = reference::relu(r.tensors[0]);
      r.gradients = {reference::relu_backward(r.tensors[0], dy)};
    };
    cases.push_back(c);

    c.name = "add" + suffix;
    c.tensors = {{x}, {other}};
    c.tolerance = OpCase::kFp32;
    // A parameter's gradient is its own: relu keeps the two apart.
    c.record = [](Graph& g, Values v) { return add(g, relu(g, v[0]), v[1]); };
    c.reference = [](CaseResult& r, const Array& dy) {
      r.y = reference::add(reference::relu(r.tensors[0]), r.tensors[1]);
      r.gradients = {reference::relu_backward(r.tensors[0], dy), dy};
    };
    cases.push_back(c);

    for (const auto kind : {ReduceKind::kSum, ReduceKind::kMean}) {
      const bool mean = kind == ReduceKind::kMean;
      c.name = (mean ? "reduce mean" : "reduce sum") + suffix;
      c.tensors = {{x}};
      c.record = [kind](Graph& g, Values v) { return reduce(g, v[0], kind); };
      c.reference = [mean](CaseResult& r, const Array& dy) {
        const Array& t = r.tensors[0];
        r.y = Array({1}, std::vector<double>{mean ? reference::reduce_mean(t)
                                                  : reference::reduce_sum(t)});
        r.gradients = {reference::reduce_backward(
            t, mean ? dy[0] / static_cast<double>(t.size()) : dy[0])};
      };
      cases.push_back(c);
    }

    c.name = "scale" + suffix;
    c.tensors = {{x, Role::kData}, {uniform("s", {1}), Role::kData}};
    c.tensors[1].wide = true;
    c.record = [](Graph& g, Values v) { return scale(g, v[0], v[1]); };
    c.reference = [](CaseResult& r, const Array&) {
      r.y = r.tensors[0];
      for (double& v : r.y.data) v *= r.tensors[1][0];
    };
    cases.push_back(c);
  }
}

inline OpCase image_normalize_case(const Dims& dims, int channels = 3,
                                   DType dtype = DType::kF32) {
  OpCase c;
  c.wide_only = true;
  c.name = fmt::format("image_normalize [{}] to {} channels of {}",
                       fmt::join(dims, ","), channels, name_of(dtype));
  Array pixels = uniform("pixels", dims, 256, 128);
  for (double& v : pixels.data) v = std::floor(v);
  c.tensors = {{pixels, Role::kData, DType::kU8}};
  c.record = [channels, dtype](Graph& g, Values v) {
    return image_normalize(g, v[0], {{0.485f, 0.456f, 0.406f},
                                     {0.229f, 0.224f, 0.225f},
                                     channels,
                                     dtype});
  };
  c.reference = [channels](CaseResult& r, const Array&) {
    const Array three = reference::image_normalize(
        r.tensors[0], {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225});
    Dims shape = three.shape;
    shape.back() = channels;
    r.y = Array(shape);
    for (std::int64_t i = 0; i < three.size(); ++i)
      r.y[i / 3 * channels + i % 3] = three[i];
  };
  return c;
}

// Chains of casts that start and end at F32: every pair of float types, and
// from U8. Each must round exactly as its format says.
inline void add_cast_cases(std::vector<OpCase>& cases) {
  const auto rounded = [](Array x, const std::vector<DType>& through) {
    for (const DType t : through)
      if (t != DType::kF64)
        x = reference::cast(x, t == DType::kF16    ? reference::kFloat16
                               : t == DType::kBF16 ? reference::kBFloat16
                                                   : reference::kFloat32);
    return x;
  };
  using enum DType;
  for (const bool from_u8 : {false, true})
    for (const auto& through : std::initializer_list<std::vector<DType>>{
             {kF64}, {kF16}, {kBF16}, {kF16, kBF16}, {kBF16, kF16},
             {kF16, kF64}, {kBF16, kF64}, {kF64, kF16}, {kF64, kBF16}}) {
      OpCase c;
      c.name = from_u8 ? "cast U8" : "cast F32";
      for (const DType t : through) c.name += fmt::format(" {}", name_of(t));
      Array x = uniform("cast/x", {3, 333}, 256, 128);
      for (std::int64_t i = 0; i < x.size(); ++i)
        x[i] = from_u8
                   ? std::floor(x[i])
                   : reference::round_to((x[i] - 128) * std::exp2(i % 30 - 22),
                                         reference::kFloat32);
      c.tensors = {{x, from_u8 ? Role::kData : Role::kTrained,
                    from_u8 ? kU8 : kF32}};
      c.record = [through](Graph& g, Values v) {
        Value y = v[0];
        for (const DType t : through) y = cast(g, y, t);
        return cast(g, y, kF32);
      };
      c.reference = [=](CaseResult& r, const Array& dy) {
        r.y = rounded(r.tensors[0], through);
        if (!from_u8)
          r.gradients = {rounded(dy, {through.rbegin(), through.rend()})};
      };
      c.tolerance = 0;
      cases.push_back(std::move(c));
    }
  // Just above and below ties of the target: rounding to F32 on the way would
  // move them onto the tie.
  for (const auto& [to, ulp] : {std::pair{kF16, 0x1p-10}, {kBF16, 0x1p-7}}) {
    OpCase c;
    c.name = fmt::format("cast F64 {}", name_of(to));
    Array x({2, 200});
    for (std::int64_t i = 0; i < x.size(); ++i)
      x[i] = (1 + (static_cast<double>(i / 2) / 2 + 0.5) * ulp +
              (i % 2 ? 0x1p-40 : -0x1p-40)) * (i % 4 < 2 ? 1 : -1);
    c.tensors = {{x, Role::kData, kF64}};
    c.record = [to = to](Graph& g, Values v) {
      return cast(g, cast(g, v[0], to), kF32);
    };
    c.reference = [rounded, to = to](CaseResult& r, const Array&) {
      r.y = rounded(r.tensors[0], {to});
    };
    c.tolerance = 0;
    cases.push_back(std::move(c));
  }
}

}  // namespace music::test
