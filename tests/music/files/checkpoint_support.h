#pragma once
// Small checkpoints whose content says which they are.

#include <doctest/doctest.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "music/files/checkpoint.h"

namespace music::test {

// In memory where there is such a file system: kill -9 is no power loss, so
// the disk adds nothing but its fsync time.
struct CheckpointRoot {
  std::filesystem::path path;
  CheckpointRoot() {
    std::filesystem::path folder = "/dev/shm";
    if (access(folder.c_str(), W_OK) != 0)
      folder = std::filesystem::temp_directory_path();
    std::string name = (folder / "music-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()));
    path = name;
    spdlog::set_level(spdlog::level::off);
  }
  ~CheckpointRoot() {
    spdlog::set_level(spdlog::level::info);
    std::filesystem::remove_all(path);
  }
  CheckpointRoot(const CheckpointRoot&) = delete;
  CheckpointRoot& operator=(const CheckpointRoot&) = delete;
};

inline void spill(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

inline CheckpointState state_of(std::int64_t step, std::int64_t value) {
  CheckpointState state;
  state.step = step;
  state.epoch = step / 7;
  state.batch = step % 7;
  state.seed = ~std::uint64_t{0};
  state.run_id = "run-a";
  state.config_hash = "c0ffee";
  state.code_version = "0.1.0";
  state.metrics_bytes = 100 * step;
  state.extra = {{"value", std::to_string(value)}, {"note", "\u00e9\n\"}"}};
  return state;
}

// Every element is `value`, which the state repeats: a mix is recognised.
inline std::filesystem::path save(const std::filesystem::path& root,
                                  std::int64_t step, std::int64_t value,
                                  int keep = 3, std::size_t elements = 300) {
  const std::vector<float> weights(elements, static_cast<float>(value));
  const std::vector<TensorEntry> tensors = {
      {"weight", DType::kF32, {static_cast<std::int64_t>(elements)},
       std::as_bytes(std::span(weights))},
      {"value", DType::kI64, {}, std::as_bytes(std::span(&value, 1))}};
  return save_checkpoint(root, state_of(step, value), tensors, keep);
}

inline std::int64_t value_of(const Checkpoint& checkpoint) {
  std::int64_t value = 0;
  const TensorEntry* entry = checkpoint.find("value");
  REQUIRE(entry);
  std::memcpy(&value, entry->data.data(), sizeof(value));
  CHECK(checkpoint.state == state_of(checkpoint.state.step, value));
  const TensorEntry* weight = checkpoint.find("weight");
  REQUIRE(weight);
  const auto* w = reinterpret_cast<const float*>(weight->data.data());
  CHECK(std::all_of(w, w + weight->data.size() / 4, [&](float x) {
    return x == static_cast<float>(value);
  }));
  return value;
}

inline std::vector<std::string> names_in(
    const std::filesystem::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

inline bool has_leftovers(const std::filesystem::path& root) {
  for (const std::string& name : names_in(root))
    if (name.starts_with(".")) return true;
  return false;
}

inline const std::string kShard = "rank-0000.safetensors";

}  // namespace music::test
