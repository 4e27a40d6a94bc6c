#pragma once
// The directory of a run:
//   config.toml env.json metrics.jsonl tb/ logs/ ckpt/ encoder.safetensors
//   projector.safetensors eval/ report.html quarantine.jsonl
// It belongs to one configuration, and to one process at a time.

#include <filesystem>
#include <string>
#include <vector>

#include "dist/threads.h"
#include "music/config/config.h"
#include "music/files/metrics.h"

namespace music {

class RunDirectory {
 public:
  // Creates config.train.out, or opens the run that is there, and writes
  // config.toml and env.json. Throws ExitCode::kUsage when another process
  // holds it, when its run has another config_hash (the keys that differ are
  // named), when there is a run and train.resume is "never", when it is the data's
  // folder, or cannot be locked and train.unlocked is not set; ExitCode::kNoCheckpoint when there is none and train.resume is
  // "require", none with a checkpoint and it is "extend", or a result without
  // checkpoints. A folder inside the data's is warned of.
  RunDirectory(const ResolvedConfig& config,
               const std::vector<std::string>& argv,
               const dist::Threads& threads);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  bool existed() const { return existed_; }  // an earlier start was here
  // Its config.toml had this configuration, or was extended to it just now.
  bool continues() const { return continues_; }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path file(const std::string& name) const {
    return path_ / name;
  }
  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path tensorboard() const { return path_ / "tb"; }
  // Whether a run in that folder could go on.
  static bool has_checkpoint(const std::filesystem::path& run);
  std::filesystem::path checkpoints() const { return path_ / "ckpt"; }
  std::filesystem::path eval() const { return path_ / "eval"; }
  std::filesystem::path quarantine() const {
    return path_ / "quarantine.jsonl";
  }
  // kRunLost where the folder is no longer this process's: moved, deleted,
  // replaced, or taken by another start (where there are no locks).
  void require_owned() const;
  // Of this start; no two have the same.
  const std::string& token() const { return token_; }
  // No other process can write to the run.
  bool locked() const { return locked_; }

 private:
  void lock(bool required);
  void compare(const ResolvedConfig& config);
  void compare(const std::string& written, const Config& config);

  std::filesystem::path path_;
  int lock_ = -1;
  bool locked_ = false;
  std::string token_;
  bool existed_ = false, continues_ = false;
};

// A command as a shell would take it back.
std::string command_line(const std::vector<std::string>& argv);

// The first line of metrics.jsonl: argv, versions, configuration hash.
Metrics metrics_header(const Config& config,
                       const std::vector<std::string>& argv);

}  // namespace music
