#include "music/files/checkpoint_manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr int kFormatVersion = 1;
constexpr std::uint64_t kMaxManifest = std::uint64_t{64} << 20;
// The first line is kHashBegin, 32 hex digits, kHashEnd; the hash covers every
// byte after that line.
constexpr std::string_view kHashBegin = "{\n \"self_xxh3_128\": \"";
constexpr std::string_view kHashEnd = "\",\n";
constexpr std::size_t kHashDigits = 32;

std::string hash_of(std::string_view text) {
  Xxh3 hash;
  hash.update(std::as_bytes(std::span(text.data(), text.size())));
  return hash.digest().xxh3_128;
}

}  // namespace

bool is_run_id(std::string_view text) {
  return !text.empty() && text.size() <= 64 &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                  (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-';
         });
}

bool is_shard_name(std::string_view name) {
  constexpr std::string_view begin = "rank-", end = ".safetensors";
  return name.size() == begin.size() + 4 + end.size() &&
         name.starts_with(begin) && name.ends_with(end) &&
         std::ranges::all_of(name.substr(begin.size(), 4),
                             [](char c) { return c >= '0' && c <= '9'; });
}

std::string CheckpointManifest::text() const {
  const CheckpointState& s = state;
  json shards = json::array();
  for (const auto& [name, digest] : files)
    shards.push_back({{"name", name},
                      {"bytes", digest.bytes},
                      {"xxh3_128", digest.xxh3_128}});
  const json body = {{"format_version", kFormatVersion},
                     {"step", s.step},
                     {"epoch", s.epoch},
                     {"batch", s.batch},
                     {"seed", s.seed},
                     {"run_id", s.run_id},
                     {"config_hash", s.config_hash},
                     {"code_version", s.code_version},
                     {"metrics_bytes", s.metrics_bytes},
                     {"world_size", s.world_size},
                     {"extra", s.extra},
                     {"files", std::move(shards)}};
  const std::string rest =
      (body.dump(1, ' ', false, json::error_handler_t::replace) + "\n")
          .substr(2);  // after "{\n"
  return fmt::format("{}{}{}{}", kHashBegin, hash_of(rest), kHashEnd, rest);
}

CheckpointManifest CheckpointManifest::read(const fs::path& directory) {
  const fs::path path = directory / kName;
  const auto fail = [&](const std::string& what) {
    throw error(ExitCode::kData, "[checkpoint] {} {}", path.string(), what);
  };
  const FileReader file(path);
  const std::size_t first = kHashBegin.size() + kHashDigits + kHashEnd.size();
  if (file.size() < first || file.size() > kMaxManifest)
    fail(fmt::format("has {} bytes, expected {} to {}", file.size(), first,
                     kMaxManifest));
  std::string text(file.size(), '\0');
  file.read(0, std::as_writable_bytes(std::span(text)));
  const std::string_view head = std::string_view(text).substr(0, first);
  if (!head.starts_with(kHashBegin) || !head.ends_with(kHashEnd) ||
      head.substr(kHashBegin.size(), kHashDigits) !=
          hash_of(std::string_view(text).substr(first)))
    fail("is damaged: its text does not have the hash that it names");

  CheckpointManifest manifest;
  try {
    const json body = json::parse(text);
    // Through a reference: only what is an integer, with no conversion.
    const auto count = [&](const char* key) {
      return body.at(key).get_ref<const std::int64_t&>();
    };
    const std::int64_t version = count("format_version");
    if (version != kFormatVersion)
      fail(fmt::format("has format version {}, this program reads {}", version,
                       kFormatVersion));
    CheckpointState& s = manifest.state;
    s.step = count("step");
    s.epoch = count("epoch");
    s.batch = count("batch");
    s.seed = body.at("seed").get_ref<const std::uint64_t&>();
    body.at("run_id").get_to(s.run_id);
    body.at("config_hash").get_to(s.config_hash);
    body.at("code_version").get_to(s.code_version);
    s.metrics_bytes = count("metrics_bytes");
    s.world_size = static_cast<int>(
        std::clamp<std::int64_t>(count("world_size"), 0, 1 << 30));
    body.at("extra").get_to(s.extra);
    for (const json& f : body.at("files"))
      manifest.files.push_back({f.at("name").get<std::string>(),
                                {f.at("bytes").get_ref<const std::uint64_t&>(),
                                 f.at("xxh3_128").get<std::string>()}});
  } catch (const json::exception& e) {
    fail(fmt::format("is not a checkpoint manifest: {}", e.what()));
  }
  const CheckpointState& s = manifest.state;
  if (s.step < 0 || s.epoch < 0 || s.batch < 0 || s.metrics_bytes < 0 ||
      s.world_size < 1 || !is_run_id(s.run_id) || manifest.files.empty())
    fail("holds a negative count, a bad run id or no shard");
  for (const auto& shard : manifest.files)
    if (!is_shard_name(shard.first))
      fail("lists " + in_quotes(shard.first) +
           ", expected rank-NNNN.safetensors");
  return manifest;
}

}  // namespace music
