#pragma once
// Checkpoints that survive kill -9, power loss and damage.
//
//   <root>/step_000000001200/   one committed checkpoint
//       rank-0000.safetensors   tensors; one file a shard
//       manifest.json           state, size and XXH3-128 of every shard, and
//                               a hash of its own text
//   <root>/latest -> step_...   for people; the loader does not need it. A
//                               folder, as copies make of a link, counts as the
//                               checkpoint it is until the next save heals it
//   <root>/.tmp-<step>-<run>[.<start>]  being written, or being deleted
//   <root>/.old-<step>-<run>.<n> was step_<step> until a re-run replaced it
//
// A checkpoint is filled in .tmp-, made durable, and appears by one rename.
// A directory is deleted only when its manifest or its .tmp- name says that it
// belongs to the same run and it holds no file but ours.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/safetensors.h"

namespace music {

// Everything but tensors that a run needs to go on where it stopped.
struct CheckpointState {
  std::int64_t step = 0;   // optimiser steps done
  std::int64_t epoch = 0;  // epoch the next step belongs to
  std::int64_t batch = 0;  // batches of it already done
  std::uint64_t seed = 0;
  std::string run_id;      // [A-Za-z0-9._-], 1 to 64 characters
  std::string config_hash, code_version;
  std::int64_t metrics_bytes = 0;  // metrics.jsonl is cut to this on resume
  int world_size = 1;
  std::map<std::string, std::string> extra;  // UTF-8; other bytes are replaced
  bool operator==(const CheckpointState&) const = default;
};

// No step before it was skipped without one applied since: its weights are not
// those of a run that is falling apart.
bool is_healthy(const CheckpointState& state);

struct Checkpoint {
  std::filesystem::path directory;
  CheckpointState state;
  std::vector<SafetensorsFile> shards;

  const TensorEntry* find(std::string_view name) const;  // nullptr: absent
};

// The start that writes: others of the same run may have been killed, or write
// too where there are no locks.
struct CheckpointOwner {
  std::string token = {};  // in the names of its .tmp- directories; "": none
  bool sole = true;        // nobody else writes: what others left is removed
  // Throws where the root is not this start's any more; called before anything
  // is committed.
  std::function<void()> require = {};
};

// Writes state and tensors as <root>/step_<state.step>, replacing one of the
// same run, then deletes the oldest of this run beyond the `keep` (>= 1) latest
// up to this step; of those the newest healthy one stays (is_healthy). Returns
// the directory. On an error (kDiskFull for a device that cannot hold it, kUsage
// when root cannot be written or the step belongs to another run, kNumerical
// for a tensor that is not finite) what was committed before is intact.
std::filesystem::path save_checkpoint(const std::filesystem::path& root,
                                      const CheckpointState& state,
                                      std::span<const TensorEntry> tensors,
                                      int keep,
                                      const CheckpointOwner& owner = {});

// Reads one directory and verifies every byte of it; kData says what is wrong,
// be it a value that is not finite.
Checkpoint load_checkpoint(const std::filesystem::path& directory);

// The newest valid checkpoint under root; one that is damaged is warned of and
// left alone, and the one before is tried. None there: nullopt. None of those
// there valid: kNoCheckpoint, naming what is wrong with the newest.
std::optional<Checkpoint> load_latest_checkpoint(
    const std::filesystem::path& root);

// What the newest checkpoint whose manifest is whole says; its tensors are not
// looked at. Nothing where there is none, or root cannot be listed.
std::optional<CheckpointState> latest_state(const std::filesystem::path& root);

}  // namespace music
