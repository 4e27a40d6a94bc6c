#pragma once
// The tensors of a small encoder that looks trained, to be changed by a test.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <functional>
#include <numbers>
#include <string>
#include <vector>

#include "engine/io/state_dict.h"
#include "music/model/encoder_import.h"
#include "music/model/model.h"
#include "tests/support/network.h"
#include "tests/support/scratch.h"

namespace music::test {

inline constexpr ResNetSpec kSmall{.depth = 18, .width = 16, .stem = Stem::kCifar};

// A file in memory: tensors that a case adds, takes away and exchanges.
struct State {
  std::vector<TensorEntry> entries;
  std::deque<std::vector<std::byte>> storage;

  TensorEntry& at(const std::string& name) {
    const auto t = std::ranges::find(entries, name, &TensorEntry::name);
    REQUIRE(t != entries.end());
    return *t;
  }
  void add(const std::string& name, DType dtype, Dims shape,
           const std::vector<std::byte>& bytes) {
    storage.push_back(bytes);
    entries.push_back({name, dtype, std::move(shape), storage.back()});
  }
  void add(const std::string& name, const Dims& shape) {
    add(name, DType::kF32, shape,
        std::vector<std::byte>(4 * static_cast<std::size_t>(elements(shape))));
  }
  void erase(const std::string& start) {
    std::erase_if(entries,
                  [&](auto& t) { return t.name.starts_with(start); });
  }
  void exchange(const std::string& a, const std::string& b) {
    std::swap(at(a).name, at(b).name);
  }
  float* values(const std::string& name) {
    TensorEntry& t = at(name);
    storage.emplace_back(t.data.begin(), t.data.end());
    t.data = storage.back();
    return reinterpret_cast<float*>(storage.back().data());
  }
  SafetensorsFile file(const std::map<std::string, std::string>& metadata = {}) {
    const Scratch scratch;
    write_safetensors(scratch.path / "f", entries, metadata);
    return SafetensorsFile::open(scratch.path / "f");
  }
  EncoderWeights import(const std::string& prefix = "") {
    return import_encoder(file(), "f", {.prefix = prefix});
  }
  std::string complaint(const std::string& prefix = "") {
    try {
      import(prefix);
    } catch (const Error& e) {
      CHECK(e.code() == ExitCode::kData);
      return e.what();
    }
    return "";
  }
};

// Mean of relu(x) for x normal, by its integral.
inline double mean_of_relu(double mean, double std) {
  constexpr int kSteps = 1000;
  double sum = 0;
  for (int i = 0; i < kSteps; ++i) {
    const double z = -8 + 16 * (i + 0.5) / kSteps;
    sum += std::max(0.0, mean + std * z) * std::exp(-z * z / 2);
  }
  return sum * 16 / kSteps / std::sqrt(2 * std::numbers::pi);
}

// Weights as training leaves them: scales and shifts off their start, and
// running means that are the means behind them.
inline State make_trained() {
  Model model({kSmall}, false);
  Parameters& p = model.parameters();
  p.initialise(1);
  for (std::size_t i = 0; i < p.table().size(); ++i) {
    const auto v = p.value(static_cast<int>(i)).span<float>();
    const std::string& name = p.table()[i].name;
    if (p.table()[i].shape.rank() == 4)
      for (float& w : v) w *= 1.3f;
    else
      std::ranges::copy(hashed(name, static_cast<std::int64_t>(v.size()), 0.6,
                               name.ends_with("weight") ? 1 : 0), v.begin());
  }
  State state;
  StateDict dict = export_state(p, Model::kEncoder, 500);
  for (const auto& e : dict.entries)
    state.add(e.name, e.dtype, e.shape, {e.data.begin(), e.data.end()});
  for (std::size_t i = 0; i < state.entries.size(); ++i) {
    const TensorEntry w = state.entries[i];
    const std::size_t at = w.name.find("conv2.weight");
    if (at == w.name.npos) continue;
    const std::string block = w.name.substr(0, at);
    const float* gamma = state.values(block + "bn1.weight");
    const float* beta = state.values(block + "bn1.bias");
    float* mean = state.values(block + "bn2.running_mean");
    const float* weight = reinterpret_cast<const float*>(w.data.data());
    std::vector<double> input;
    for (std::int64_t c = 0; c < w.shape[1]; ++c)
      input.push_back(mean_of_relu(beta[c], gamma[c]));
    for (std::int64_t k = 0; k < w.shape[0]; ++k) {
      double sum = 0;
      for (std::int64_t c = 0; c < w.shape[1]; ++c)
        for (int a = 0; a < 9; ++a)
          sum += input[static_cast<std::size_t>(c)] *
                 weight[(k * w.shape[1] + c) * 9 + a];
      // Real means are off by what is not normal and by the borders.
      mean[k] = static_cast<float>(0.8 * sum + 0.1 * std::sin(37.0 * k));
    }
  }
  return state;
}

inline State trained() {
  static const State made = make_trained();
  State copy;
  for (const TensorEntry& t : made.entries)
    copy.add(t.name, t.dtype, t.shape, {t.data.begin(), t.data.end()});
  return copy;
}

}  // namespace music::test
