#include "music/files/run_directory.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "music/files/checkpoint.h"

namespace {

using namespace music;
namespace fs = std::filesystem;

const dist::Threads kThreads{.compute = 3, .loader = 5, .why = "so many"};

using Flags = std::vector<std::pair<std::string, std::string>>;

struct TempFolder {
  TempFolder() {
    static int count = 0;
    path = fs::temp_directory_path() /
           fmt::format("music_run_{}_{}", getpid(), count++);
  }
  ~TempFolder() { fs::remove_all(path); }
  fs::path path;
};

ResolvedConfig config_of(const fs::path& out, Flags flags = {}) {
  flags.emplace_back("train.preset", "demo");
  flags.emplace_back("train.out", out.string());
  return resolve({{}, {}, flags});
}

std::string failure(const ResolvedConfig& config, ExitCode code) {
  try {
    RunDirectory run(config, {"music_train"}, kThreads);
  } catch (const Error& e) {
    CHECK(e.code() == code);
    return e.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string content(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_SUITE("run_directory") {
  TEST_CASE("a new run writes its configuration and environment") {
    const TempFolder folder;
    const ResolvedConfig config = config_of(folder.path / "a" / "b");
    const RunDirectory run(config, {"music_train", "--out", "a b", "\xff"},
                           kThreads);
    CHECK_FALSE(run.existed());
    CHECK(content(run.file("config.toml")) == to_toml(config));
    const auto env = nlohmann::json::parse(content(run.file("env.json")));
    CHECK(env.at("config_hash") == config_hash(config.value));
    CHECK(env.at("argv").at(2) == "a b");
    CHECK(env.at("threads").at("compute") == 3);
    CHECK(env.at("threads").at("loader") == 5);
    CHECK(env.at("threads").at("why") == "so many");
    CHECK(contains(env.at("onednn"), "."));
    for (const char* key : {"music", "cpu", "host", "system", "started"})
      CHECK(env.contains(key));
    const Metrics header =
        metrics_header(config.value, {"music_train", "--out", "it's"});
    CHECK(to_json(header).rfind(
              "{\"argv\":\"music_train --out 'it'\\\\''s'\"", 0) == 0);
  }

  TEST_CASE("the same configuration goes on, another one is refused") {
    const TempFolder folder;
    { RunDirectory run(config_of(folder.path), {"music_train"}, kThreads); }
    const std::string before = content(folder.path / "config.toml");
    {
      const RunDirectory run(config_of(folder.path, {{"data.workers", "3"}}),
                             {"music_train"}, kThreads);
      CHECK(run.existed());
      CHECK(contains(content(folder.path / "config.toml"), "workers = 3"));
    }
    const std::string message = failure(
        config_of(folder.path, {{"optim.base_lr", "0.25"},
                                {"train.seed", "1"}}),
        ExitCode::kUsage);
    CHECK(contains(message, "optim.base_lr 0.2 -> 0.25, train.seed 0 -> 1"));
    CHECK(contains(content(folder.path / "config.toml"), "seed = 0"));
  }

  TEST_CASE("a precision that an older version left open is no difference") {
    const TempFolder folder;
    {
      const auto open = config_of(folder.path);
      CHECK(contains(to_toml(open), "precision = \"auto\""));
      RunDirectory run(open, {"music_train"}, kThreads);
    }
    const auto settled =
        config_of(folder.path, {{"train.precision", "fp32"}});
    CHECK(failure(settled, ExitCode::kUsage).empty());
    CHECK(contains(failure(config_of(folder.path,
                                     {{"train.precision", "bf16"}}),
                           ExitCode::kUsage),
                   "train.precision \"fp32\" -> \"bf16\""));
  }

  TEST_CASE("never and require are kept") {
    const TempFolder folder;
    CHECK(contains(
        failure(config_of(folder.path, {{"train.resume", "require"}}),
                ExitCode::kNoCheckpoint),
        "holds no run"));
    CHECK(failure(config_of(folder.path, {{"train.resume", "never"}}),
                  ExitCode::kUsage)
              .empty());
    CHECK(contains(failure(config_of(folder.path, {{"train.resume", "never"}}),
                           ExitCode::kUsage),
                   "holds a run"));
    CHECK(failure(config_of(folder.path, {{"train.resume", "require"}}),
                  ExitCode::kUsage)
              .empty());
  }

  TEST_CASE("two processes cannot write one run") {
    const TempFolder folder;
    {
      const RunDirectory first(config_of(folder.path), {"music_train"},
                               kThreads);
      CHECK(contains(failure(config_of(folder.path), ExitCode::kUsage),
                     fmt::format("in use by process {}", getpid())));
    }
    CHECK(failure(config_of(folder.path), ExitCode::kUsage).empty());
  }

  TEST_CASE("more epochs are another run, or the same one extended") {
    const TempFolder folder;
    const auto with = [&](const char* epochs, const char* resume) {
      return config_of(folder.path, {{"train.epochs", epochs},
                                     {"train.resume", resume}});
    };
    CHECK(contains(failure(with("4", "extend"), ExitCode::kNoCheckpoint),
                   "holds no run, expected one to go on with (train.resume "
                   "\"extend\")"));
    { RunDirectory run(with("4", "auto"), {"music_train"}, kThreads); }
    CHECK(contains(failure(with("9", "extend"), ExitCode::kNoCheckpoint),
                   "holds no run with a checkpoint, expected one"));
    CHECK(contains(content(folder.path / "config.toml"), "epochs = 4"));
    CheckpointState state;
    state.step = 9, state.run_id = "a";
    save_checkpoint(folder.path / "ckpt", state, {}, 1);
    const std::string message = failure(with("9", "auto"), ExitCode::kUsage);
    CHECK(contains(message, "holds a run of another configuration (train.epochs 4 "
                            "-> 9); expected the same, --extend to go on"));
    CHECK(contains(message, "encoder.safetensors with a new --out"));
    CHECK(contains(failure(with("3", "extend"), ExitCode::kUsage),
                   "expected more epochs to extend it to"));
    CHECK(contains(content(folder.path / "config.toml"), "epochs = 4"));
    CHECK(failure(with("9", "extend"), ExitCode::kUsage).empty());
    CHECK(contains(content(folder.path / "config.toml"), "epochs = 9"));
    CHECK(failure(with("9", "auto"), ExitCode::kUsage).empty());
    CHECK(contains(failure(with("4", "auto"), ExitCode::kUsage), "9 -> 4"));
  }

  TEST_CASE("where config.toml was edited the checkpoints say what the run is") {
    const TempFolder folder;
    const auto with = [&](const char* epochs, const char* seed = "0",
                          const char* resume = "auto") {
      return config_of(folder.path, {{"train.epochs", epochs},
                                     {"train.seed", seed},
                                     {"train.resume", resume}});
    };
    const auto edit = [&](const ResolvedConfig& config) {
      std::ofstream(folder.path / "config.toml") << to_toml(config);
    };
    { RunDirectory run(with("4"), {"music_train"}, kThreads); }
    CheckpointState state;
    state.step = 9, state.run_id = "a";
    state.extra["settings"] = deciding_settings(with("4").value);
    save_checkpoint(folder.path / "ckpt", state, {}, 1);
    edit(with("4", "7"));
    for (const char* seed : {"7", "8"})  // named is what the run has
      CHECK(contains(failure(with("4", seed), ExitCode::kUsage),
                     fmt::format("(train.seed 0 -> {}); expected the same, or",
                                 seed)));
    CHECK(failure(with("4"), ExitCode::kUsage).empty());  // warned of
    CHECK(contains(content(folder.path / "config.toml"), "seed = 0"));
    // Of an extension that has not come to a checkpoint.
    edit(with("9"));
    CHECK(contains(failure(with("6"), ExitCode::kUsage), "train.epochs 4 -> 6"));
    CHECK(failure(with("9"), ExitCode::kUsage).empty());
    CHECK(failure(with("4"), ExitCode::kUsage).empty());
    edit(with("9"));
    CHECK(failure(with("6", "0", "extend"), ExitCode::kUsage).empty());
    edit(with("3"));
    CHECK(contains(failure(with("3"), ExitCode::kUsage),
                   "train.epochs 4 -> 3); expected the same"));
  }

  TEST_CASE("a result without checkpoints is not replaced") {
    const TempFolder folder;
    { RunDirectory run(config_of(folder.path), {"music_train"}, kThreads); }
    CHECK(failure(config_of(folder.path), ExitCode::kUsage).empty());  // begins
    std::ofstream(folder.path / "encoder.safetensors") << "x";
    CHECK(contains(failure(config_of(folder.path), ExitCode::kNoCheckpoint),
                   "has a result, encoder.safetensors, and no checkpoint in"));
    fs::remove(folder.path / "config.toml");
    CHECK(contains(failure(config_of(folder.path), ExitCode::kNoCheckpoint),
                   "or a new --out (--weights"));
    fs::create_directory_symlink("nowhere", folder.path / "scratch");
    CHECK(contains(failure(config_of(folder.path / "scratch"), ExitCode::kUsage),
                   "scratch is a link to nowhere, which is not there"));
  }

  TEST_CASE("a run and its images are apart") {
    const TempFolder folder;
    const fs::path images = folder.path / "images";
    fs::create_directories(images / "class");
    const auto in = [&](const fs::path& out) {
      return failure(config_of(out, {{"data.path", images.string()}}),
                     ExitCode::kUsage);
    };
    CHECK(contains(in(images), "is the folder of the images"));
    CHECK(contains(in(images / "class" / ".."), "is the folder of the images"));
    CHECK(fs::is_empty(images / "class"));
    CHECK(in(images / "runs" / "a").empty());  // warned of
    CHECK(in(folder.path / "images2").empty());
    CHECK(contains(in(folder.path / "resnet.safetensors"),
                   "is the name of a file, expected that of a folder"));
    CHECK_FALSE(fs::exists(folder.path / "resnet.safetensors"));
  }

  TEST_CASE("places where no run can be") {
    const TempFolder folder;
    fs::create_directories(folder.path);
    std::ofstream(folder.path / "file") << "x";
    CHECK(contains(failure(config_of(folder.path / "file"), ExitCode::kUsage),
                   "is a file, expected a folder"));
    CHECK(contains(failure(config_of("/proc/nowhere/run"), ExitCode::kUsage),
                   "/proc/nowhere/run"));
    CHECK(contains(failure(resolve({}), ExitCode::kUsage),
                   "train.out is not set; expected --out"));
  }
}
