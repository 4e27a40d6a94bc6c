#include "music/files/checkpoint.h"

#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <system_error>
#include <utility>

#include "engine/core/error.h"
#include "engine/core/text.h"
#include "engine/io/file.h"
#include "engine/io/finite.h"
#include "engine/io/outage.h"
#include "music/files/checkpoint_manifest.h"

namespace music {
namespace fs = std::filesystem;
namespace {

bool is_taken(const fs::path& path) {  // a dangling link does, too
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return c >= '0' && c <= '9';
  });
}

std::string step_name(std::int64_t step) {
  return fmt::format("step_{:012}", step);
}

std::string staging_name(std::int64_t step, const std::string& run_id,
                         const CheckpointOwner& owner) {
  return fmt::format(".tmp-{}-{}{}{}", step, run_id,
                     owner.token.empty() ? "" : ".", owner.token);
}

// Whether this start may remove it: its own, or of a start that is over.
bool is_staging_of(const std::string& name, const std::string& run_id,
                   const CheckpointOwner& owner) {
  constexpr std::size_t kBegin = 5, kToken = 16;  // ".tmp-", digits of a token
  const std::size_t dash = name.find('-', kBegin);
  if (!name.starts_with(".tmp-") || dash == std::string::npos ||
      !all_digits(std::string_view(name).substr(kBegin, dash - kBegin)))
    return false;
  const std::string_view rest = std::string_view(name).substr(dash + 1);
  if (!rest.starts_with(run_id)) return false;
  const std::string_view start = rest.substr(run_id.size());
  if (start.empty()) return owner.sole;
  return start.size() == kToken + 1 && start[0] == '.' &&
         (owner.sole || start.substr(1) == owner.token);
}

// <root>/step_<step>, or with old <root>/.old-<step>-<run>.<n>.
struct Candidate {
  std::int64_t step = 0;
  bool old = false;
  fs::path path;
};

std::optional<Candidate> candidate_of(const fs::path& path) {
  const std::string name = path.filename().string();
  Candidate candidate{0, name.starts_with(".old-"), path};
  const std::string_view digits = std::string_view(name).substr(
      std::min(name.size(), std::size_t{5}));  // "step_" or ".old-"
  const auto [end, failure] =
      std::from_chars(digits.data(), digits.data() + digits.size(),
                      candidate.step);
  if (failure != std::errc() || candidate.step < 0) return std::nullopt;
  if (candidate.old ? end == digits.data() + digits.size() || *end != '-'
                    : name != step_name(candidate.step))
    return std::nullopt;
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return std::nullopt;
  return candidate;
}

std::vector<fs::path> entries_of(const fs::path& directory) {
  std::error_code failure;
  std::vector<fs::path> paths;
  fs::directory_iterator it(directory, failure), end;
  for (; !failure && it != end; it.increment(failure))
    paths.push_back(it->path());
  if (failure && failure != std::errc::no_such_file_or_directory)
    throw StorageError(may_pass(failure.value()) ? ExitCode::kUnavailable : ExitCode::kData,
                       fmt::format("[checkpoint] cannot list {}: {}",
                                   directory.string(), failure.message()),
                       failure.value());
  return paths;
}

// A link that a copy followed (cp -rL, rsync -L, zip) is a whole checkpoint; one
// that tells no step comes last.
std::optional<Candidate> copied_latest(const fs::path& root) {
  const fs::path path = root / "latest";
  std::error_code ignored;
  if (!fs::is_directory(fs::symlink_status(path, ignored))) return std::nullopt;
  try {
    return Candidate{CheckpointManifest::read(path).state.step, true, path};
  } catch (const Error&) {
    return Candidate{-1, true, path};
  }
}

// Newest first; of one step, the committed one before the replaced ones.
std::vector<Candidate> candidates_in(const fs::path& root) {
  std::vector<Candidate> found;
  for (const fs::path& path : entries_of(root))
    if (auto candidate = candidate_of(path))
      found.push_back(std::move(*candidate));
  if (auto copied = copied_latest(root)) found.push_back(std::move(*copied));
  std::sort(found.begin(), found.end(), [](auto& a, auto& b) {
    if (a.step != b.step) return a.step > b.step;
    return a.old != b.old ? b.old : a.path > b.path;
  });
  return found;
}

// The name of a file that save_checkpoint makes, or its FileWriter's temporary,
// or of what a desktop leaves in every folder.
bool is_our_file(const fs::path& path) {
  const std::string name = path.filename().string();
  if (name == ".DS_Store" || name == "Thumbs.db" || name == "desktop.ini" ||
      name.starts_with("._"))
    return true;
  const std::size_t tail = name.rfind(".tmp-");
  const bool temporary = name.starts_with('.') && tail != std::string::npos;
  const std::string_view base =
      temporary ? std::string_view(name).substr(1, tail - 1) : name;
  std::error_code ignored;
  return fs::is_regular_file(fs::symlink_status(path, ignored)) &&
         (base == CheckpointManifest::kName || is_shard_name(base));
}

// Empties and removes a .tmp- directory of ours. Best effort: what is not our
// file stays, and then so does the directory.
void remove_staging(const fs::path& staging) noexcept try {
  std::error_code failure;
  if (!fs::is_directory(fs::symlink_status(staging, failure))) return;
  for (const fs::path& path : entries_of(staging))
    if (is_our_file(path)) fs::remove(path, failure);
  if (!fs::remove(staging, failure))
    spdlog::warn("[checkpoint] cannot remove {}: {}", staging.string(),
                 failure.message());
} catch (const std::exception& e) {
  spdlog::warn("[checkpoint] cannot remove {}: {}", staging.string(), e.what());
}

// Deletes a checkpoint whose manifest was read and is this run's. The rename
// takes it out of the loader's sight before the first file goes.
void remove_checkpoint(const fs::path& root, const fs::path& directory,
                       const CheckpointState& state,
                       const CheckpointOwner& owner) {
  for (const fs::path& path : entries_of(directory))
    if (!is_our_file(path)) {
      spdlog::warn("[checkpoint] {} stays: it holds {}", directory.string(),
                   in_quotes(path.filename().string()));
      return;
    }
  const fs::path staging = root / staging_name(state.step, state.run_id, owner);
  rename_path(directory, staging);
  remove_staging(staging);
}

// What a directory's manifest says; an empty run id when it cannot be read.
CheckpointState state_in(const fs::path& directory) {
  try {
    return CheckpointManifest::read(directory).state;
  } catch (const Error&) {
    return {};
  }
}

std::string run_id_of(const fs::path& directory) {
  return state_in(directory).run_id;
}

// Keeps `keep` of this run up to `state.step`, which has just been committed.
// Later steps stay: they are another future of the run, each replaced when the
// run gets there. Failing to delete never fails the save.
void apply_retention(const fs::path& root, const CheckpointState& state,
                     int keep, const CheckpointOwner& owner) try {
  int kept = 0;
  bool healthy = false;  // one of those kept
  for (const Candidate& candidate : candidates_in(root)) {
    if (candidate.step > state.step && !candidate.old) continue;
    if (fs::is_symlink(candidate.path)) continue;
    const CheckpointState there = state_in(candidate.path);
    if (there.run_id != state.run_id) continue;
    if (!candidate.old && (kept++ < keep || (!healthy && is_healthy(there)))) {
      healthy = healthy || is_healthy(there);
      continue;
    }
    CheckpointState removed = state;
    removed.step = candidate.step;
    remove_checkpoint(root, candidate.path, removed, owner);
  }
} catch (const std::exception& e) {
  spdlog::warn("[checkpoint] old checkpoints stay: {}", e.what());
}

// Makes way for the link where a copy has left a folder. It becomes the
// checkpoint that it is a copy of, unless that is there; what is not surely of
// this run is put aside.
void clear_latest(const fs::path& root, const std::string& run_id,
                  const CheckpointOwner& owner) {
  const auto copied = copied_latest(root);
  if (!copied) return;
  const bool ours = run_id_of(copied->path) == run_id &&
                    std::ranges::all_of(entries_of(copied->path), is_our_file);
  if (ours && is_taken(root / step_name(copied->step))) {
    CheckpointState removed;
    removed.step = copied->step, removed.run_id = run_id;
    remove_checkpoint(root, copied->path, removed, owner);
  }
  if (!copied_latest(root)) return;
  fs::path aside = root / (ours ? step_name(copied->step) : "latest.copy");
  for (int n = 1; is_taken(aside); ++n)
    aside = root / fmt::format("latest.copy-{}", n);
  rename_path(copied->path, aside);
  spdlog::warn("[checkpoint] {} was a folder, as copies make of a link: it is "
               "now {}", copied->path.string(), aside.filename().string());
}

// A hint for people. Where links cannot be made it is a file with the name.
void point_latest(const fs::path& root, const fs::path& target,
                  const std::string& run_id, const CheckpointOwner& owner) try {
  clear_latest(root, run_id, owner);
  const fs::path link = root / fmt::format(".latest.tmp-{}", getpid());
  std::error_code failure;
  fs::remove(link, failure);
  fs::create_symlink(target, link, failure);
  if (!failure) {
    rename_path(link, root / "latest");
    return;
  }
  FileWriter file(root / "latest");
  file.write(target.string() + "\n");
  file.commit();
} catch (const std::exception& e) {
  spdlog::warn("[checkpoint] {} does not point at {}: {}",
               (root / "latest").string(), target.string(), e.what());
}

// Puts the finished staging directory in its place.
void commit(const fs::path& root, const fs::path& staging,
            const fs::path& target, const CheckpointState& state) {
  // A directory cannot be renamed onto another. Between the two renames the
  // loader finds the old one under its new name.
  if (is_taken(target)) {
    fs::path old;
    int n = 0;
    do {
      old = root / fmt::format(".old-{}-{}.{}", state.step, state.run_id, n++);
    } while (is_taken(old));
    rename_path(target, old);
  }
  rename_path(staging, target);
  sync_directory(root);
}

}  // namespace

bool is_healthy(const CheckpointState& state) {
  const auto skipped = state.extra.find("skipped_in_a_row");
  return skipped == state.extra.end() || skipped->second == "0";
}

const TensorEntry* Checkpoint::find(std::string_view name) const {
  for (const SafetensorsFile& shard : shards)
    if (const TensorEntry* tensor = shard.find(name)) return tensor;
  return nullptr;
}

fs::path save_checkpoint(const fs::path& root, const CheckpointState& state,
                         std::span<const TensorEntry> tensors, int keep,
                         const CheckpointOwner& owner) {
  MUSIC_CHECK(state.step >= 0 && keep >= 1 && is_run_id(state.run_id),
              "[checkpoint] step {}, keep {}, run id {} cannot be saved",
              state.step, keep, in_quotes(state.run_id));
  if (const auto bad = not_finite(tensors))
    throw error(ExitCode::kNumerical,
                "[checkpoint] after step {} {}: it is not saved; {} keeps those "
                "before it", state.step, *bad, root.string());
  const WithoutWaiting now;
  if (owner.require) owner.require();
  create_durably(root);
  // What a killed process of this run left; nothing ever reads it.
  for (const fs::path& path : entries_of(root))
    if (is_staging_of(path.filename().string(), state.run_id, owner))
      remove_staging(path);

  const fs::path target = root / step_name(state.step);
  if (const std::string run = run_id_of(target);
      !run.empty() && run != state.run_id)
    throw error(ExitCode::kUsage,
                "[checkpoint] {} belongs to run {}, this is run {}",
                target.string(), run, state.run_id);
  const fs::path staging = root / staging_name(state.step, state.run_id, owner);
  if (mkdir(staging.c_str(), 0777) != 0) throw_write_error(staging, errno);
  try {
    CheckpointManifest manifest{state, {}};
    const std::string shard = "rank-0000.safetensors";
    manifest.files.emplace_back(
        shard, write_safetensors(staging / shard, tensors,
                                 {{"step", std::to_string(state.step)},
                                  {"epoch", std::to_string(state.epoch)},
                                  {"run_id", state.run_id},
                                  {"config_hash", state.config_hash},
                                  {"code_version", state.code_version}}));
    FileWriter file(staging / CheckpointManifest::kName);
    file.write(manifest.text());
    file.commit();
    if (owner.require) owner.require();
    commit(root, staging, target, state);
  } catch (...) {
    remove_staging(staging);
    throw;
  }
  point_latest(root, target.filename(), state.run_id, owner);
  apply_retention(root, state, keep, owner);
  return target;
}

Checkpoint load_checkpoint(const fs::path& directory) {
  CheckpointManifest manifest = CheckpointManifest::read(directory);
  const auto candidate = candidate_of(directory);
  if (candidate && candidate->step != manifest.state.step)
    throw error(ExitCode::kData, "[checkpoint] {} holds step {}",
                directory.string(), manifest.state.step);
  Checkpoint checkpoint{directory, std::move(manifest.state), {}};
  for (const auto& [name, expected] : manifest.files) {
    FileDigest found;
    checkpoint.shards.push_back(
        SafetensorsFile::open(directory / name, &found));
    if (found != expected)
      throw error(ExitCode::kData,
                  "[checkpoint] {} is damaged: {} bytes with hash {}, "
                  "expected {} with {}",
                  (directory / name).string(), found.bytes, found.xxh3_128,
                  expected.bytes, in_quotes(expected.xxh3_128));
    if (const auto bad = not_finite(checkpoint.shards.back().tensors()))
      throw error(ExitCode::kData, "[checkpoint] {}: {}",
                  (directory / name).string(), *bad);
  }
  return checkpoint;
}

std::optional<Checkpoint> load_latest_checkpoint(const fs::path& root) {
  const std::vector<Candidate> candidates = candidates_in(root);
  std::string reason;
  for (const Candidate& candidate : candidates) {
    try {
      return load_checkpoint(candidate.path);
    } catch (const Error& e) {
      if (e.code() != ExitCode::kData) throw;  // no memory: not its fault
      spdlog::warn("[checkpoint] {} is skipped: {}", candidate.path.string(),
                   e.what());
      if (reason.empty()) reason = e.what();
    }
  }
  if (candidates.empty()) return std::nullopt;
  throw error(ExitCode::kNoCheckpoint,
              "[checkpoint] none of the {} checkpoints in {} is valid; the "
              "newest: {}",
              candidates.size(), root.string(), reason);
}

std::optional<CheckpointState> latest_state(const fs::path& root) try {
  for (const Candidate& candidate : candidates_in(root)) {
    try {
      return CheckpointManifest::read(candidate.path).state;
    } catch (const Error&) {  // who loads it will say so
    }
  }
  return std::nullopt;
} catch (const Error&) {
  return std::nullopt;
}

}  // namespace music
