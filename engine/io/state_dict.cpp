#include "engine/io/state_dict.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "engine/core/half.h"
#include "engine/io/finite.h"

namespace music {
namespace {

constexpr const char* kTracked = "num_batches_tracked";
constexpr const char* kMean = "running_mean";

// [K,R,S,C] <-> [K,C,R,S].
template <typename F>
void for_each_oihw(const Shape& krsc, F&& fn) {
  const std::int64_t k = krsc[0], r = krsc[1], s = krsc[2], c = krsc[3];
  for (std::int64_t ik = 0; ik < k; ++ik)
    for (std::int64_t ic = 0; ic < c; ++ic)
      for (std::int64_t rs = 0; rs < r * s; ++rs)
        fn((ik * r * s + rs) * c + ic, (ik * c + ic) * r * s + rs);
}

bool is_float(DType dtype) {
  return dtype == DType::kF64 || dtype == DType::kF32 || dtype == DType::kF16 ||
         dtype == DType::kBF16;
}

template <typename T, typename F>
std::vector<float> converted(std::span<const std::byte> bytes, F&& to) {
  std::vector<float> out(bytes.size() / sizeof(T));
  for (std::size_t i = 0; i < out.size(); ++i) {
    T v;  // not aligned in every file
    std::memcpy(&v, &bytes[i * sizeof(T)], sizeof(T));
    out[i] = to(v);
  }
  return out;
}

// Calls fn(name without prefix, tensor) for every parameter, then buffer.
template <typename F>
void for_each_under(const Parameters& parameters, const std::string& prefix,
                    F&& fn) {
  const std::string start = prefix.empty() ? "" : prefix + ".";
  for (std::size_t i = 0; i < parameters.table().size(); ++i)
    if (const auto& name = parameters.table()[i].name; name.starts_with(start))
      fn(name.substr(start.size()), parameters.value(static_cast<int>(i)));
  for (std::size_t i = 0; i < parameters.buffers().size(); ++i)
    if (const auto& name = parameters.buffers()[i].name; name.starts_with(start))
      fn(name.substr(start.size()), parameters.buffer(static_cast<int>(i)));
}

}  // namespace

std::vector<std::int64_t> file_shape(const Shape& s) {
  if (s.rank() == 4) return {s[0], s[3], s[1], s[2]};
  return {s.dims().begin(), s.dims().end()};
}

std::vector<float> float_values(const TensorEntry& entry,
                                const std::string& file_name) {
  switch (entry.dtype) {
    case DType::kF64:
      return converted<double>(entry.data,
                               [](double v) { return static_cast<float>(v); });
    case DType::kF32:
      return converted<float>(entry.data, [](float v) { return v; });
    case DType::kF16:
      return converted<Half>(entry.data, [](Half v) { return to_float(v); });
    case DType::kBF16:
      return converted<BFloat16>(entry.data,
                                 [](BFloat16 v) { return to_float(v); });
    default:
      throw error(ExitCode::kData,
                  "[weights] {}: {} is {}, expected F64, F32, F16 or BF16",
                  file_name, entry.name, name_of(entry.dtype));
  }
}

void set_from_file_order(const Tensor& out, std::span<const float> values) {
  MUSIC_CHECK(static_cast<std::int64_t>(values.size()) == out.elements(),
              "[weights] {} values for a tensor of {}", values.size(),
              out.shape.dims());
  float* to = out.f32();
  if (out.shape.rank() == 4)
    for_each_oihw(out.shape, [&](auto ours, auto theirs) {
      to[ours] = values[static_cast<std::size_t>(theirs)];
    });
  else
    std::ranges::copy(values, to);
}

StateDict export_state(const Parameters& parameters, const std::string& prefix,
                       std::int64_t batches) {
  StateDict state;
  const auto append = [&](std::string name, DType dtype,
                          std::vector<std::int64_t> shape, std::size_t bytes) {
    state.storage.emplace_back(bytes);
    void* data = state.storage.back().data();
    state.entries.push_back({std::move(name), dtype, std::move(shape),
                             {static_cast<const std::byte*>(data), bytes}});
    return data;
  };
  for_each_under(parameters, prefix, [&](const std::string& name, Tensor t) {
    auto* out = static_cast<float*>(
        append(name, DType::kF32, file_shape(t.shape), t.bytes()));
    const float* in = t.f32();
    if (t.shape.rank() == 4)
      for_each_oihw(t.shape, [&](auto ours, auto theirs) { out[theirs] = in[ours]; });
    else
      std::memcpy(out, in, t.bytes());
    if (name.ends_with(kMean)) {
      void* count = append(
          name.substr(0, name.size() - std::strlen(kMean)) + kTracked,
          DType::kI64, {}, sizeof(std::int64_t));
      std::memcpy(count, &batches, sizeof batches);
    }
  });
  return state;
}

void import_state(Parameters& parameters, const std::string& prefix,
                  const SafetensorsFile& file, const std::string& file_name,
                  const std::vector<std::string>& ignore) {
  std::set<std::string> unexpected;
  for (const auto& name : file.names()) {
    bool known = name.ends_with(kTracked);
    for (const auto& start : ignore) known |= name.starts_with(start);
    if (!known) unexpected.insert(name);
  }
  std::int64_t wanted = 0, missing = 0;
  std::string first_missing;
  for_each_under(parameters, prefix, [&](const std::string& name, Tensor t) {
    ++wanted;
    unexpected.erase(name);
    const TensorEntry* entry = file.find(name);
    if (!entry) {
      if (missing++ == 0) first_missing = name;
      return;
    }
    if (!is_float(entry->dtype) || entry->shape != file_shape(t.shape))
      throw error(ExitCode::kData, "[weights] {}: {} is {} [{}], expected F32 [{}]",
                  file_name, name, name_of(entry->dtype),
                  fmt::join(entry->shape, ","),
                  fmt::join(file_shape(t.shape), ","));
    if (const auto bad = not_finite({entry, 1}))
      throw error(ExitCode::kData, "[weights] {}: {}", file_name, *bad);
    set_from_file_order(t, float_values(*entry, file_name));
  });
  if (missing > 0 || !unexpected.empty())
    throw error(ExitCode::kData,
                "[weights] {}: {} of {} tensors are missing{}{}, {} are "
                "unexpected{}{}: expected the weights of this architecture",
                file_name, missing, wanted, missing ? ", first " : "",
                first_missing, unexpected.size(),
                unexpected.empty() ? "" : ", first ",
                unexpected.empty() ? "" : *unexpected.begin());
}

}  // namespace music
