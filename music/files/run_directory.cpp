#include "music/files/run_directory.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>
#include <system_error>

#include "data/written_name.h"
#include "engine/core/error.h"
#include "engine/core/wait_policy.h"
#include "engine/io/file.h"
#include "music/files/build_info.h"
#include "music/files/checkpoint.h"
#include "music/files/cpu/cpu_info.h"
#include "music/files/same_run.h"

namespace music {
namespace {

namespace fs = std::filesystem;

// Of 64 bits, from the system.
std::string new_token() {
  std::uint64_t bits = 0;
  if (::getentropy(&bits, sizeof bits) != 0)
    bits = static_cast<std::uint64_t>(std::time(nullptr)) << 20 ^
           static_cast<std::uint64_t>(getpid());
  return fmt::format("{:016x}", bits);
}

std::string environment_json(const ResolvedConfig& config,
                             const std::vector<std::string>& argv,
                             const dist::Threads& threads) {
  const BuildInfo& build = build_info();
  const cpu::CpuInfo processor = cpu::cpu_info();
  utsname system{};
  uname(&system);
  std::array<char, 32> started{};
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::strftime(started.data(), started.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);

  nlohmann::ordered_json j;
  j["argv"] = argv;
  j["config_hash"] = config_hash(config.value);
  j["started"] = started.data();
  j["music"] = {{"version", build.version},
                {"commit", build.commit},
                {"compiler", build.compiler},
                {"build_type", build.build_type}};
  j["onednn"] = processor.onednn;
  j["cpu"] = {{"model", processor.model},
              {"isa", processor.isa}};
  j["threads"] = {{"compute", threads.compute},
                  {"loader", threads.loader},
                  {"why", threads.why},
                  {"wait", wait_policy()}};
  j["host"] = system.nodename;
  j["system"] = fmt::format("{} {} {}", system.sysname, system.release,
                            system.machine);
  j["pid"] = getpid();
  // These change what the numerical libraries do.
  for (const char* name : {"OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES",
                           "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"})
    if (const char* value = std::getenv(name)) j["environment"][name] = value;
  return j.dump(2, ' ', false,
                nlohmann::ordered_json::error_handler_t::replace);
}

// What a run writes into the folder of its images could become images.
void look_at_data(const fs::path& run, const std::string& data) {
  std::error_code failure;
  const fs::path images = fs::canonical(data, failure);
  if (failure || !fs::is_directory(images, failure)) return;
  const fs::path out = fs::weakly_canonical(run, failure);
  if (failure) return;
  if (out == images)
    throw error(ExitCode::kUsage,
                "[run] {} is the folder of the images: expected a run directory "
                "elsewhere", run.string());
  const auto [end, rest] =
      std::mismatch(images.begin(), images.end(), out.begin(), out.end());
  if (end == images.end())
    spdlog::warn("[run] {} lies in the folder of the images, {}: it is not a "
                 "class of them; better elsewhere", run.string(), data);
}

void write_file(const fs::path& path, const std::string& text) {
  FileWriter file(path);
  file.write(text);
  file.commit();
}

}  // namespace

RunDirectory::RunDirectory(const ResolvedConfig& config,
                           const std::vector<std::string>& argv,
                           const dist::Threads& threads) {
  require(config.value, {"train.out"});
  path_ = config.value.train.out;
  std::error_code failure;
  if (fs::exists(path_, failure) && !fs::is_directory(path_, failure))
    throw error(ExitCode::kUsage,
                "[run] {} is a file, expected a folder or a new name",
                path_.string());
  if (fs::is_symlink(path_, failure) && !fs::exists(path_, failure))
    throw error(ExitCode::kUsage,
                "[run] {} is a link to {}, which is not there: expected a folder or "
                "a new name", path_.string(), fs::read_symlink(path_).string());
  if (data::is_called_a_file(path_.string()))
    throw error(ExitCode::kUsage,
                "[run] {} is the name of a file, expected that of a folder for "
                "the run", path_.string());
  look_at_data(path_, config.value.data.path);
  create_durably(path_);
  lock(!config.value.train.unlocked);
  try {
    compare(config);
    write_file(path_ / "config.toml", to_toml(config));
    write_file(path_ / "env.json", environment_json(config, argv, threads) + '\n');
  } catch (...) {
    ::close(lock_);
    throw;
  }
}

RunDirectory::~RunDirectory() { ::close(lock_); }

void RunDirectory::lock(bool required) {
  const fs::path file = path_ / ".lock";
  lock_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock_ < 0) throw_write_error(file, errno);
  while (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    const int number = errno;
    if (number == EINTR) continue;
    if (number != EWOULDBLOCK) {  // some network file systems have no locks
      if (!required) break;
      ::close(lock_);
      throw error(ExitCode::kUsage,
                  "[run] cannot lock {}: {}; expected a file system with locks, or "
                  "--train.unlocked true where no other process writes to the run",
                  file.string(), std::strerror(number));
    }
    std::array<char, 128> holder{};
    const ssize_t n = ::read(lock_, holder.data(), holder.size() - 1);
    ::close(lock_);
    throw error(ExitCode::kUsage,
                "[run] {} is in use{}; expected a run that no other process "
                "writes to", path_.string(),
                n > 0 ? fmt::format(" by {}", holder.data()) : "");
  }
  locked_ = ::flock(lock_, LOCK_EX | LOCK_NB) == 0;
  utsname system{};
  uname(&system);
  token_ = new_token();
  const std::string me = fmt::format("process {} on {}, start {}", getpid(),
                                     system.nodename, token_);
  if (::ftruncate(lock_, 0) != 0 ||
      ::pwrite(lock_, me.data(), me.size(), 0) < 0)
    spdlog::warn("[run] cannot write {}: {}", file.string(),
                 std::strerror(errno));
}

// The file that was opened at the start is the one that is there, and nobody
// else has written to it. What cannot be looked at now is not lost for that.
void RunDirectory::require_owned() const {
  const fs::path file = path_ / ".lock";
  const auto lost = [&](const std::string& what) {
    throw error(ExitCode::kRunLost,
                "[run] {}: {}; expected the folder that this process began to "
                "write to: it saves nothing more and ends", path_.string(), what);
  };
  struct stat now {}, mine {};
  if (::stat(file.c_str(), &now) != 0) {
    if (errno == ENOENT || errno == ENOTDIR)
      lost("it was moved or deleted while the run wrote to it");
    return;
  }
  if (::fstat(lock_, &mine) != 0) return;
  if (mine.st_ino != now.st_ino || mine.st_dev != now.st_dev)
    lost("it was replaced by another folder while the run wrote to it");
  std::array<char, 256> holder{};
  const ssize_t n = ::pread(lock_, holder.data(), holder.size() - 1, 0);
  const std::string_view text(holder.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  if (text.find("start ") != text.npos && text.find(token_) == text.npos)
    lost(fmt::format("{} has begun to write to it", text));
}

void RunDirectory::compare(const ResolvedConfig& config) {
  const fs::path file = path_ / "config.toml";
  existed_ = fs::exists(file);
  const Resume resume = config.value.train.resume;
  const bool empty = !has_checkpoint(path_);
  // It would be trained anew and its result replaced.
  if (empty && resume != Resume::kNever && fs::exists(path_ / "encoder.safetensors"))
    throw error(ExitCode::kNoCheckpoint,
                "[run] {0} has a result, encoder.safetensors, and no checkpoint in "
                "{0}/ckpt to go on from: expected that, or a new --out (--weights "
                "{0}/encoder.safetensors starts from the result)", path_.string());
  const bool extends_nothing = empty && resume == Resume::kExtend;
  if (!existed_ || extends_nothing) {
    if (resume == Resume::kRequire || extends_nothing)
      throw error(ExitCode::kNoCheckpoint,
                  "[run] {} holds no run{}, expected one to go on with "
                  "(train.resume \"{}\")", path_.string(),
                  existed_ ? " with a checkpoint" : "",
                  resume == Resume::kExtend ? "extend" : "require");
    return;
  }
  if (resume == Resume::kNever)
    throw error(ExitCode::kUsage,
                "[run] {} holds a run; expected a new folder, or train.resume "
                "\"auto\" to go on with it", path_.string());
  ResolvedConfig before;
  try {
    if (fs::is_empty(file))
      throw error(ExitCode::kUsage, "[config] {} is empty", file.string());
    before = resolve({{file.string()}, {}, {}});
  } catch (const std::exception& e) {
    if (!has_checkpoint(path_)) throw;
    // Copied in part, or of another version. Its checkpoints know as well.
    spdlog::warn("[run] {}; what the run is, its checkpoints say", e.what());
    return;
  }
  // Older versions wrote "auto"; their checkpoints know what it came to.
  if (before.value.train.precision == Precision::kAuto)
    before.value.train.precision = config.value.train.precision;
  compare(deciding_settings(before.value), config.value);
  continues_ = true;
}

// The checkpoints say what the run is. config.toml may have been edited, or be
// that of an extension which has not come to a checkpoint.
void RunDirectory::compare(const std::string& written, const Config& config) {
  const auto state = latest_state(checkpoints());
  const auto settings = state ? state->extra.find("settings")
                              : std::map<std::string, std::string>::iterator{};
  const bool known = state && settings != state->extra.end();
  const std::string& saved = known ? settings->second : written;
  const auto unlike = differences(written, config);
  if (known && !unlike.empty() && differences(saved, config).empty())
    spdlog::warn("[run] {} is of another configuration than the checkpoints ({}): "
                 "theirs holds", (path_ / "config.toml").string(),
                 fmt::join(unlike, ", "));
  const bool extended = unlike.empty() && other_epochs(saved, config).value_or(
                            config.train.epochs) < config.train.epochs;
  require_same_run(saved, config,
                   extended || config.train.resume == Resume::kExtend, path_,
                   fmt::format("{} holds a run of", path_.string()));
}

std::string command_line(const std::vector<std::string>& argv) {
  std::string out;
  for (const std::string& a : argv) {
    if (!out.empty()) out += ' ';
    const bool plain =
        !a.empty() && a.find_first_not_of(
                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                          "0123456789_-+=./,:@%") == std::string::npos;
    if (plain) {
      out += a;
      continue;
    }
    out += '\'';
    for (char c : a)
      out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    out += '\'';
  }
  return out;
}

Metrics metrics_header(const Config& config,
                       const std::vector<std::string>& argv) {
  return {{"argv", command_line(argv)},
          {"music", build_info().describe()},
          {"onednn", cpu::cpu_info().onednn},
          {"config_hash", config_hash(config)}};
}

bool RunDirectory::has_checkpoint(const std::filesystem::path& run) {
  std::error_code problem;
  const bool empty = std::filesystem::is_empty(run / "ckpt", problem);
  return !problem && !empty;
}

}  // namespace music
