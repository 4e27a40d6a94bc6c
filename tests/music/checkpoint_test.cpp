// Checkpoints against damage, kill -9, failing devices and foreign files.
// MUSIC_KILLS sets the number of kills (200).
#include "music/checkpoint.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <random>

#include "engine/core/error.h"

namespace fs = std::filesystem;
using namespace music;

// The calls that can fail in a save. Armed, the k-th of them (and, sticky, all
// later ones) fails with `number`, or writes half when number is 0.
namespace {
struct Fault {
  bool armed = false, sticky = false, fired = false;
  int number = 0;
  long countdown = 0;

  bool strikes() {
    if (!armed) return false;
    const bool now = countdown == 0 || (sticky && fired);
    if (!fired) --countdown;
    fired = fired || now;
    if (now && number != 0) errno = number;
    return now;
  }
} fault;
}  // namespace

extern "C" {
ssize_t write(int descriptor, const void* data, std::size_t size) {
  if (fault.strikes()) {
    if (fault.number != 0) return -1;
    size = (size + 1) / 2;
  }
  return syscall(SYS_write, descriptor, data, size);
}
int fsync(int descriptor) {
  if (fault.number != 0 && fault.strikes()) return -1;
  return static_cast<int>(syscall(SYS_fsync, descriptor));
}
int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const unsigned mode = flags & O_CREAT ? va_arg(list, unsigned) : 0;
  va_end(list);
  if (fault.number != 0 && fault.strikes()) return -1;
  return static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}
// These two are never interrupted.
int rename(const char* from, const char* to) noexcept {
  if (fault.number != 0 && fault.number != EINTR && fault.strikes()) return -1;
  return static_cast<int>(syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to));
}
int mkdir(const char* path, mode_t mode) noexcept {
  if (fault.number != 0 && fault.number != EINTR && fault.strikes()) return -1;
  return static_cast<int>(syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}
}

namespace {

// In memory where there is such a file system: kill -9 is no power loss, so
// the disk adds nothing but its fsync time.
struct Scratch {
  fs::path path;
  Scratch() {
    const fs::path memory = "/dev/shm";
    const bool usable = access(memory.c_str(), W_OK) == 0;
    std::string name =
        ((usable ? memory : fs::temp_directory_path()) / "music-XXXXXX")
            .string();
    REQUIRE(mkdtemp(name.data()));
    path = name;
    spdlog::set_level(spdlog::level::off);
  }
  ~Scratch() {
    spdlog::set_level(spdlog::level::info);
    fs::remove_all(path);
  }
};

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void spill(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

CheckpointState state_of(std::int64_t step, std::int64_t value) {
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
fs::path save(const fs::path& root, std::int64_t step, std::int64_t value,
              int keep = 3, std::size_t elements = 300) {
  const std::vector<float> weights(elements, static_cast<float>(value));
  const std::vector<TensorEntry> tensors = {
      {"weight", DType::kF32, {static_cast<std::int64_t>(elements)},
       std::as_bytes(std::span(weights))},
      {"value", DType::kI64, {}, std::as_bytes(std::span(&value, 1))}};
  return save_checkpoint(root, state_of(step, value), tensors, keep);
}

std::int64_t value_of(const Checkpoint& checkpoint) {
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

std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

bool has_leftovers(const fs::path& root) {
  for (const std::string& name : names_in(root))
    if (name.starts_with(".")) return true;
  return false;
}

const std::string kShard = "rank-0000.safetensors";

}  // namespace

TEST_SUITE("checkpoint") {

TEST_CASE("what is saved is loaded") {
  const Scratch scratch;
  const fs::path root = scratch.path / "runs" / "ckpt";
  CHECK(!load_latest_checkpoint(root));
  const fs::path first = save(root, 12, 3);
  CHECK(first == root / "step_000000000012");
  CHECK(names_in(first) == std::vector<std::string>{"manifest.json", kShard});
  CHECK(fs::read_symlink(root / "latest") == "step_000000000012");
  save(root, 24, 4);
  const auto latest = load_latest_checkpoint(root);
  REQUIRE(latest);
  CHECK(latest->directory == root / "step_000000000024");
  CHECK(value_of(*latest) == 4);
  CHECK(latest->find("nothing") == nullptr);
  CHECK(value_of(load_checkpoint(first)) == 3);
  CHECK(value_of(load_checkpoint(root / "latest")) == 4);
  CHECK(!has_leftovers(root));
}

TEST_CASE("equal state gives equal bytes") {
  const Scratch scratch;
  const fs::path a = save(scratch.path / "a", 5, 1);
  const fs::path b = save(scratch.path / "b", 5, 1);
  CHECK(slurp(a / kShard) == slurp(b / kShard));
  CHECK(slurp(a / "manifest.json") == slurp(b / "manifest.json"));
}

TEST_CASE("any flipped bit of the manifest is detected") {
  const Scratch scratch;
  const fs::path manifest = save(scratch.path, 5, 1) / "manifest.json";
  const std::string good = slurp(manifest);
  int accepted = 0;
  for (std::size_t at = 0; at < good.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      spill(manifest, bad);
      try {
        load_checkpoint(manifest.parent_path());
        ++accepted;
      } catch (const Error& e) {
        CHECK(e.code() == ExitCode::kData);
      }
    }
  for (std::size_t size = 0; size < good.size(); ++size) {
    spill(manifest, good.substr(0, size));
    CHECK_THROWS_AS(load_checkpoint(manifest.parent_path()), Error);
  }
  for (const char* tail : {" ", "\n", "{}"}) {
    spill(manifest, good + tail);
    CHECK_THROWS_AS(load_checkpoint(manifest.parent_path()), Error);
  }
  CHECK(accepted == 0);
  spill(manifest, good);
  CHECK(value_of(load_checkpoint(manifest.parent_path())) == 1);
}

TEST_CASE("a damaged shard is detected and the one before is used") {
  const Scratch scratch;
  save(scratch.path, 5, 1);
  const fs::path shard = save(scratch.path, 6, 2) / kShard;
  const std::string good = slurp(shard);
  std::mt19937 random(7);
  const auto falls_back = [&] {
    const auto found = load_latest_checkpoint(scratch.path);
    REQUIRE(found);
    return found->state.step == 5 && value_of(*found) == 1;
  };
  for (int trial = 0; trial < 1000; ++trial) {
    std::string bad = good;
    bad[random() % bad.size()] ^= static_cast<char>(1 << random() % 8);
    spill(shard, bad);
    CHECK(falls_back());
  }
  for (int trial = 0; trial < 200; ++trial) {
    spill(shard, good.substr(0, random() % good.size()));
    CHECK(falls_back());
  }
  spill(shard, good + '\0');
  CHECK(falls_back());
  fs::remove(shard);
  CHECK(falls_back());
  fs::create_directory(shard);
  CHECK(falls_back());
  fs::remove(shard);
  spill(shard, good);
  CHECK(load_latest_checkpoint(scratch.path)->state.step == 6);
  // A whole shard of another step is a mix, too.
  fs::copy_file(scratch.path / "step_000000000005" / kShard, shard,
                fs::copy_options::overwrite_existing);
  CHECK(falls_back());
  spill(shard, good);
  fs::remove(shard.parent_path() / "manifest.json");
  CHECK(falls_back());
  // Nor does a checkpoint pass under another step's name.
  fs::remove_all(shard.parent_path());
  fs::copy(scratch.path / "step_000000000005", shard.parent_path());
  CHECK(falls_back());
  CHECK(load_latest_checkpoint(scratch.path)->directory ==
        scratch.path / "step_000000000005");
}

TEST_CASE("none valid is an error, none there is not") {
  const Scratch scratch;
  CHECK(!load_latest_checkpoint(scratch.path));
  fs::create_directory(scratch.path / ".tmp-5-run-a");  // killed in a save
  spill(scratch.path / "notes.txt", "mine");
  CHECK(!load_latest_checkpoint(scratch.path));
  for (const int step : {5, 6})
    spill(save(scratch.path, step, 1) / kShard, "torn");
  try {
    load_latest_checkpoint(scratch.path);
    FAIL("accepted");
  } catch (const Error& e) {
    CHECK(e.code() == ExitCode::kNoCheckpoint);
    const std::string message = e.what();
    CHECK(message.find("none of the 2") != std::string::npos);
    CHECK(message.find("step_000000000006") != std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
  }
  CHECK_THROWS_WITH_AS(load_latest_checkpoint(scratch.path / "notes.txt"),
                       doctest::Contains("cannot list"), Error);
}

TEST_CASE("a re-run replaces a step, and the replaced one is a fallback") {
  const Scratch scratch;
  save(scratch.path, 5, 1);
  save(scratch.path, 5, 2);
  CHECK(value_of(*load_latest_checkpoint(scratch.path)) == 2);
  CHECK(!has_leftovers(scratch.path));
  // Damaged, it is replaced as well; an unreadable manifest is not proof that
  // the directory is ours, so that one is set aside for good.
  spill(scratch.path / "step_000000000005" / kShard, "torn");
  save(scratch.path, 5, 3);
  CHECK(!has_leftovers(scratch.path));
  spill(scratch.path / "step_000000000005" / "manifest.json", "torn");
  save(scratch.path, 5, 4);
  CHECK(value_of(*load_latest_checkpoint(scratch.path)) == 4);
  CHECK(fs::exists(scratch.path / ".old-5-run-a.0" / kShard));
  // As if killed between the two renames of a replacement.
  fs::rename(scratch.path / "step_000000000005",
             scratch.path / ".old-5-run-a.1");
  CHECK(value_of(*load_latest_checkpoint(scratch.path)) == 4);
  save(scratch.path, 5, 6);
  CHECK(value_of(*load_latest_checkpoint(scratch.path)) == 6);
  CHECK(!fs::exists(scratch.path / ".old-5-run-a.1"));
}

TEST_CASE("only our own old checkpoints and temporaries are deleted") {
  const Scratch scratch;
  const fs::path& root = scratch.path;
  // Foreign: another run, a note inside, not a checkpoint, look-alikes.
  auto other = state_of(1, 1);
  other.run_id = "a";
  save_checkpoint(root, other, {}, 1);
  save(root, 2, 1);
  spill(root / "step_000000000002" / "notes.txt", "precious");
  fs::create_directories(root / "step_000000000003");
  spill(root / "step_000000000003" / "weights.bin", "precious");
  fs::create_directories(root / "step_4");
  fs::create_directories(root / ".tmp-4-other");
  fs::create_directories(root / ".tmp-x-run-a");
  fs::create_directories(root / ".tmp-7-run-a");
  spill(root / ".tmp-7-run-a" / "precious.txt", "precious");
  spill(root / ".tmp-7-run-a" / kShard, "torn");
  fs::create_directories(root / ".tmp-8-run-a");
  spill(root / ".tmp-8-run-a" / ("." + kShard + ".tmp-77"), "torn");
  spill(root / "best.safetensors", "precious");
  const Scratch elsewhere;
  fs::create_directory_symlink(save(elsewhere.path, 9, 9),
                               root / "step_000000000009");
  for (int step = 10; step <= 20; ++step) save(root, step, step, 3);
  const std::vector<std::string> expected = {
      ".tmp-4-other", ".tmp-7-run-a", ".tmp-x-run-a", "best.safetensors",
      "latest", "step_000000000001", "step_000000000002", "step_000000000003",
      "step_000000000009", "step_000000000018", "step_000000000019",
      "step_000000000020", "step_4"};
  CHECK(names_in(root) == expected);
  CHECK(slurp(root / "step_000000000002" / "notes.txt") == "precious");
  CHECK(fs::exists(root / "step_000000000002" / kShard));
  CHECK(slurp(root / "step_000000000003" / "weights.bin") == "precious");
  CHECK(names_in(root / ".tmp-7-run-a") ==
        std::vector<std::string>{"precious.txt"});
  // A step of another run is not replaced.
  CHECK_THROWS_WITH_AS(save(root, 1, 1), doctest::Contains("belongs to run a"),
                       Error);
  CHECK(load_checkpoint(root / "step_000000000001").state.run_id == "a");
  // keep counts up to the step just saved: later ones may be damaged.
  spill(root / "step_000000000020" / kShard, "torn");
  save(root, 15, 15, 1);
  CHECK(load_latest_checkpoint(root)->state.step == 19);
  CHECK(value_of(load_checkpoint(root / "step_000000000015")) == 15);
  CHECK_THROWS_AS(save(root, 16, 1, 0), Error);
  auto bad = state_of(16, 1);
  bad.run_id = "../up";
  CHECK_THROWS_AS(save_checkpoint(root, bad, {}, 1), Error);
}

TEST_CASE("random histories: what must be there is there") {
  struct Expected { std::int64_t value; bool shard, manifest; };
  std::mt19937 random(3);
  for (int history = 0; history < 100; ++history) {
    const Scratch scratch;
    const fs::path foreign = scratch.path / "step_000000000000";
    fs::create_directories(foreign);
    spill(foreign / "mine.txt", "precious");
    const int keep = 1 + static_cast<int>(random() % 3);
    std::map<std::int64_t, Expected, std::greater<>> expected;
    std::int64_t step = 0;
    for (int turn = 0; turn < 12; ++turn) {
      step += 1 + static_cast<std::int64_t>(random() % 2);
      save(scratch.path, step, turn, keep);
      expected[step] = {turn, true, true};
      int kept = 0;
      std::erase_if(expected, [&](const auto& e) {
        return e.first <= step && e.second.manifest && kept++ >= keep;
      });
      if (random() % 3 == 0) {
        const bool shard = random() % 2;
        (shard ? expected[step].shard : expected[step].manifest) = false;
        spill(scratch.path / "latest" / (shard ? kShard : "manifest.json"),
              "torn");
      }
      std::int64_t found = 0, wanted = 0;
      for (const auto& [at, e] : expected)
        if (wanted == 0 && e.shard && e.manifest) wanted = at;
      try {
        const auto latest = load_latest_checkpoint(scratch.path);
        REQUIRE(latest);
        found = latest->state.step;
        CHECK(value_of(*latest) == expected[found].value);
      } catch (const Error& e) {
        CHECK(e.code() == ExitCode::kNoCheckpoint);
      }
      CHECK(found == wanted);
      step = found;  // a resumed run
    }
    CHECK(slurp(foreign / "mine.txt") == "precious");
  }
}

TEST_CASE("every failing call of a save leaves the old and exits 20") {
  struct Kind { int number; bool sticky; };
  for (const bool replace : {false, true})
    for (const Kind kind : {Kind{ENOSPC, false}, {ENOSPC, true}, {EIO, false},
                            {EINTR, false}, {0, false}}) {
      long calls = 0;
      for (bool fired = true; fired; ++calls) {
        const Scratch scratch;
        save(scratch.path, 5, 1, 2);
        save(scratch.path, 6, 2, 2);
        const std::int64_t step = replace ? 6 : 7;
        fault = {true, kind.sticky, false, kind.number, calls};
        int code = 0;
        try {
          save(scratch.path, step, 3, 2);
        } catch (const Error& e) {
          code = static_cast<int>(e.code());
        }
        fired = fault.fired;
        fault = {};
        INFO("errno ", kind.number, " at call ", calls, ", code ", code);
        const bool harmless = kind.number == EINTR || kind.number == 0;
        CHECK((code == 0 || (!harmless && code == 20)));
        const auto latest = load_latest_checkpoint(scratch.path);
        REQUIRE(latest);
        const std::int64_t value = value_of(*latest);
        CHECK((value == 3 || (code == 20 && value == 2)));
        for (const std::string& name : names_in(scratch.path))
          CHECK(!name.starts_with(".tmp-"));
        save(scratch.path, 8, 4, 1);
        CHECK(value_of(*load_latest_checkpoint(scratch.path)) == 4);
        CHECK(names_in(scratch.path) ==
              std::vector<std::string>{"latest", "step_000000000008"});
      }
      // The test is worth nothing when the calls are not seen.
      CHECK(calls > (kind.number == 0 ? 5 : 10));
    }
}

TEST_CASE("a writer killed at any microsecond costs nothing committed") {
  struct Shared {
    std::atomic<bool> ready{false};
    std::atomic<std::int64_t> value{0};  // of the last save that returned
    std::atomic<std::int64_t> step{0};
  };
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  auto& shared = *new (memory) Shared;
  constexpr std::size_t kElements = 60'000;

  const char* wanted = std::getenv("MUSIC_KILLS");
  const int kills = wanted ? std::atoi(wanted) : 200;
  const Scratch scratch;
  const auto begin = std::chrono::steady_clock::now();
  for (int step = 1; step <= 5; ++step)
    save(scratch.path, step, 0, 2, kElements);
  const double save_us = std::chrono::duration<double, std::micro>(
      std::chrono::steady_clock::now() - begin).count() / 5;
  shared.step = 5;

  std::mt19937 random(11);
  int mid_save = 0, replaced = 0;
  for (int kill_number = 1; kill_number <= kills; ++kill_number) {
    const bool replace = random() % 2;
    const int keep = 1 + static_cast<int>(random() % 2);
    const std::int64_t from =
        load_latest_checkpoint(scratch.path)->state.step + (replace ? 0 : 1);
    shared.ready = false;
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      try {
        // Values grow, so that a lost replacement shows.
        for (std::int64_t i = 0;; ++i) {
          const std::int64_t value = kill_number * 1000 + i;
          shared.ready = true;
          // Each step twice: a replacement is as safe as a new one.
          save(scratch.path, from + i / 2, value, keep, kElements);
          shared.step = from + i / 2;
          shared.value = value;
        }
      } catch (...) {
        _exit(1);
      }
    }
    while (!shared.ready) usleep(50);
    usleep(static_cast<useconds_t>(
        std::uniform_real_distribution<>(0, 3 * save_us)(random)));
    kill(child, SIGKILL);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));  // not its own error

    const auto latest = load_latest_checkpoint(scratch.path);
    REQUIRE(latest);
    CHECK(latest->state.step >= shared.step);
    CHECK(value_of(*latest) >= shared.value);
    for (const std::string& name : names_in(scratch.path)) {
      if (name.starts_with("step_") || name.starts_with(".old-"))
        CHECK_NOTHROW(value_of(load_checkpoint(scratch.path / name)));
      mid_save += name.starts_with(".tmp-");
      replaced += name.starts_with(".old-");
    }
  }
  MESSAGE(kills, " kills, ", mid_save, " left a temporary, ", replaced,
          " a replaced checkpoint; a save takes ", save_us, " us");
  CHECK(mid_save >= kills / 8);  // else it was not killed in a save
  save(scratch.path, shared.step + 1, 1, 1);
  for (const std::string& name : names_in(scratch.path))
    CHECK(!name.starts_with(".tmp-"));
  munmap(memory, sizeof(Shared));
}

}
