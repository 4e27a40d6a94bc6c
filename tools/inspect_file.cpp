#include "tools/inspect_file.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "engine/core/half.h"
#include "engine/core/text.h"
#include "engine/io/little_endian.h"
#include "engine/io/zip.h"
#include "music/files/checkpoint.h"
#include "music/files/checkpoint_manifest.h"
#include "music/formats/onnx_file.h"

namespace music {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::uint64_t kMostJson = 16 << 20;

std::string dims(const std::vector<std::int64_t>& shape) {
  return fmt::format("{}", fmt::join(shape, ","));
}

void add_safetensors(Inspected& out, SafetensorsFile file) {
  const SafetensorsFile& kept = out.files.emplace_back(std::move(file));
  for (const TensorEntry& t : kept.tensors())
    out.rows.push_back({t.name, std::string(name_of(t.dtype)), dims(t.shape),
                        t.data.size(), t});
  for (const auto& [key, value] : kept.metadata())
    out.facts.emplace_back(key, value);
}

void add_npy(Inspected& out, const std::string& name, NpyArray array) {
  const NpyArray& a = out.arrays.emplace_back(std::move(array));
  const TensorEntry t{name, a.dtype, a.shape,
                      {a.data.as<std::byte>(), a.data.bytes()}};
  out.rows.push_back({name, std::string(name_of(a.dtype)), dims(a.shape),
                      a.data.bytes(), t});
}

// The text of a small file; "" where there is none.
std::string small_text(const fs::path& path) {
  if (!fs::is_regular_file(path)) return "";
  std::vector<std::uint8_t> bytes;
  read_file(path.string(), kMostJson, bytes);
  return {bytes.begin(), bytes.end()};
}

std::string scalar(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

Inspected checkpoint(const fs::path& path) {
  Checkpoint c = load_checkpoint(path);
  Inspected out;
  out.kind = "checkpoint, every byte verified";
  const CheckpointState& s = c.state;
  out.facts = {{"step", std::to_string(s.step)},
               {"epoch", std::to_string(s.epoch)},
               {"batch", std::to_string(s.batch)},
               {"seed", std::to_string(s.seed)},
               {"run_id", s.run_id},
               {"config_hash", s.config_hash},
               {"code_version", s.code_version},
               {"processes", std::to_string(s.world_size)}};
  for (const auto& [key, value] : s.extra)
    if (key != "settings") out.facts.emplace_back(key, value);
  for (SafetensorsFile& shard : c.shards) add_safetensors(out, std::move(shard));
  return out;
}

// The last whole line of metrics.jsonl.
Json last_metrics(const fs::path& path) {
  std::ifstream in(path);
  std::string line;
  Json last;
  while (std::getline(in, line))
    if (Json json = Json::parse(line, nullptr, false); json.is_object())
      last = std::move(json);
  return last;
}

Inspected run_directory(const fs::path& path) {
  Inspected out;
  out.kind = "run directory";
  const Json env =
      Json::parse(small_text(path / "env.json"), nullptr, false);
  if (env.is_object())
    for (const char* key : {"started", "config_hash"})
      if (env.contains(key)) out.facts.emplace_back(key, scalar(env[key]));
  const Json last = last_metrics(path / "metrics.jsonl");
  if (last.is_object())
    for (const char* key : {"epoch", "step", "loss", "time"})
      if (last.contains(key))
        out.facts.emplace_back(fmt::format("last {}", key), scalar(last[key]));
  std::vector<std::string> kept;
  if (fs::is_directory(path / "ckpt"))
    for (const auto& e : fs::directory_iterator(path / "ckpt"))
      if (const std::string name = e.path().filename().string();
          name.starts_with("step_") && e.is_directory())
        kept.push_back(name);
  std::ranges::sort(kept);
  out.facts.emplace_back("checkpoints", fmt::format("{}", fmt::join(kept, " ")));
  std::vector<fs::path> files, scores;
  for (const auto& e : fs::directory_iterator(path))
    if (e.is_regular_file()) files.push_back(e.path());
  if (fs::is_directory(path / "eval"))
    for (const auto& e : fs::directory_iterator(path / "eval"))
      if (e.path().extension() == ".json") scores.push_back(e.path());
  std::ranges::sort(files);
  std::ranges::sort(scores);
  for (const fs::path& file : scores) {
    const Json record = Json::parse(small_text(file), nullptr, false);
    if (!record.is_object() || !record.contains("scores") ||
        !record["scores"].is_array())
      continue;
    for (const Json& score : record["scores"])
      if (score.is_object() && score.contains("name") && score.contains("value"))
        out.facts.emplace_back(
            fmt::format("score {}: {}", file.stem().string(),
                        scalar(score["name"])), scalar(score["value"]));
  }
  for (const fs::path& file : files)
    out.rows.push_back({file.filename().string(), "file", "",
                        fs::file_size(file), std::nullopt});
  return out;
}

Inspected zip(const FileReader& file) {
  Inspected out;
  const std::vector<ZipEntry> entries = zip_entries(file);
  const auto all = [&](std::string_view end) {
    return !entries.empty() && std::ranges::all_of(entries, [&](auto& e) {
      return e.name.ends_with(end);
    });
  };
  const bool pth = std::ranges::any_of(
      entries, [](auto& e) { return e.name.ends_with("/data.pkl"); });
  out.kind = all(".npy") ? "npz" : pth ? "PyTorch's zip" : "zip";
  if (pth)
    out.facts.emplace_back("names and shapes",
                           "are in data.pkl, a pickle, which is never read");
  for (const ZipEntry& e : entries) {
    if (out.kind == "npz" && e.method == 0) {
      add_npy(out, e.name.substr(0, e.name.size() - 4),
              read_npy(file.path(), {zip_data_offset(file, e), e.size}));
      continue;
    }
    out.rows.push_back({e.name, e.method == 0 ? "stored" : "compressed", "",
                        e.size, std::nullopt});
  }
  return out;
}

Inspected onnx(const fs::path& path) {
  Inspected out;
  out.kind = "ONNX";
  const OnnxContent c = read_onnx(path);
  for (const auto& t : c.inputs)
    out.facts.emplace_back("input " + t.name,
                           fmt::format("{} [{}]", t.dtype, t.shape));
  for (const auto& t : c.outputs)
    out.facts.emplace_back("output " + t.name,
                           fmt::format("{} [{}]", t.dtype, t.shape));
  for (const auto& [op, count] : c.operators)
    out.facts.emplace_back("operator " + op, std::to_string(count));
  for (const auto& fact : c.metadata) out.facts.push_back(fact);
  for (const auto& t : c.initializers)
    out.rows.push_back({t.name, t.dtype, t.shape, 0, std::nullopt});
  return out;
}

template <typename T, typename F>
void for_each_as(const TensorEntry& t, F&& to, auto&& fn) {
  for (std::size_t at = 0; at + sizeof(T) <= t.data.size(); at += sizeof(T)) {
    T v;
    std::memcpy(&v, &t.data[at], sizeof v);
    fn(static_cast<double>(to(v)));
  }
}

void for_each_value(const TensorEntry& t, auto&& fn) {
  const auto same = [](auto v) { return v; };
  const auto half = [](auto v) { return to_float(v); };
  switch (t.dtype) {
    case DType::kF64: return for_each_as<double>(t, same, fn);
    case DType::kF32: return for_each_as<float>(t, same, fn);
    case DType::kF16: return for_each_as<Half>(t, half, fn);
    case DType::kBF16: return for_each_as<BFloat16>(t, half, fn);
    case DType::kI64: return for_each_as<std::int64_t>(t, same, fn);
    case DType::kI32: return for_each_as<std::int32_t>(t, same, fn);
    case DType::kU8:
    case DType::kBool: return for_each_as<std::uint8_t>(t, same, fn);
  }
}

std::vector<double> all_values(const TensorEntry& t) {
  std::vector<double> out;
  for_each_value(t, [&](double v) { out.push_back(v); });
  return out;
}

}  // namespace

Inspected inspect(const fs::path& path) {
  if (fs::is_directory(path)) {
    if (fs::exists(path / CheckpointManifest::kName)) return checkpoint(path);
    if (fs::exists(path / "metrics.jsonl") || fs::exists(path / "config.toml"))
      return run_directory(path);
    throw error(ExitCode::kData, "[inspect] {} is neither a run directory (no "
                "metrics.jsonl) nor a checkpoint (no manifest.json)",
                path.string());
  }
  const FileReader file(path);
  std::string front(std::min<std::uint64_t>(file.size(), 9), '\0');
  file.read(0, std::as_writable_bytes(std::span(front)));
  Inspected out;
  if (front.starts_with("\x93NUMPY")) {
    out.kind = "npy";
    add_npy(out, path.stem().string(), read_npy(path));
    return out;
  }
  if (front.starts_with("PK\x03\x04")) return zip(file);
  if (front.starts_with("\x80\x02") || front.starts_with("\x80\x03") ||
      front.starts_with("\x80\x04"))
    throw error(ExitCode::kData, "[inspect] {} is a pickle, which can run any "
                "code and is never read", path.string());
  if (path.extension() == ".onnx") return onnx(path);
  out.kind = "safetensors";
  FileDigest digest;
  add_safetensors(out, SafetensorsFile::open(path, &digest));
  out.facts.emplace_back("xxh3_128 of the file", digest.xxh3_128);
  return out;
}

Statistics statistics(const TensorEntry& tensor) {
  Statistics s;
  s.min = std::numeric_limits<double>::infinity();
  s.max = -s.min;
  double sum = 0;
  for_each_value(tensor, [&](double v) {
    ++s.count;
    if (std::isnan(v)) {
      ++s.nan;
    } else if (std::isinf(v)) {
      ++s.infinite;
    } else {
      s.zero += v == 0;
      s.min = std::min(s.min, v);
      s.max = std::max(s.max, v);
      sum += v;
    }
  });
  const std::int64_t finite = s.count - s.nan - s.infinite;
  s.mean = sum / static_cast<double>(finite);  // NaN: there is none
  if (finite == 0) s.min = s.max = s.mean;
  return s;
}

Difference difference(const Inspected& a, const Inspected& b) {
  Difference out;
  std::map<std::string, const Inspected::Row*> theirs;
  for (const auto& row : b.rows) theirs[row.name] = &row;
  const auto differs = [&](const std::string& line) {
    ++out.different;
    out.lines.push_back(line);
  };
  for (const auto& row : a.rows) {
    const auto at = theirs.find(row.name);
    if (at == theirs.end()) {
      differs(fmt::format("- {}  {} [{}]", row.name, row.dtype, row.shape));
      continue;
    }
    const Inspected::Row& other = *at->second;
    theirs.erase(at);
    if (row.dtype != other.dtype || row.shape != other.shape) {
      differs(fmt::format("! {}  {} [{}], {} [{}]", row.name, row.dtype,
                          row.shape, other.dtype, other.shape));
    } else if (!row.values || !other.values) {
      row.bytes == other.bytes
          ? void(++out.equal)
          : differs(fmt::format("! {}  {} bytes, {}", row.name, row.bytes,
                                other.bytes));
    } else if (std::ranges::equal(row.values->data, other.values->data)) {
      ++out.equal;
    } else {
      const auto x = all_values(*row.values), y = all_values(*other.values);
      double most = 0, scale = 0;
      std::int64_t count = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        count += x[i] != y[i];
        most = std::max(most, std::abs(x[i] - y[i]));
        scale = std::max(scale, std::abs(x[i]));
      }
      differs(fmt::format("! {}  {} of {} values, by up to {:.3g} (largest "
                          "value {:.3g})", row.name, count, x.size(), most,
                          scale));
    }
  }
  for (const auto& row : b.rows)
    if (theirs.count(row.name))
      differs(fmt::format("+ {}  {} [{}]", row.name, row.dtype, row.shape));
  return out;
}

}  // namespace music
