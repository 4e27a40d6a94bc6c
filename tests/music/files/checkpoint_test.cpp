// Checkpoints against damage and foreign files.
#include "music/files/checkpoint.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <random>

#include "engine/core/error.h"
#include "engine/io/finite.h"
#include "music/files/checkpoint_manifest.h"
#include "tests/music/files/checkpoint_support.h"
#include "tests/support/scratch.h"

namespace fs = std::filesystem;
using namespace music;
using namespace music::test;

TEST_SUITE("checkpoint") {

TEST_CASE("what is saved is loaded") {
  const CheckpointRoot scratch;
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

// A root with steps 1 and 2, and at `latest` what `how` leaves.
void check_heals(const char* how, const std::function<void(const fs::path&)>& leave,
                 const std::vector<std::string>& after) {
  CAPTURE(how);
  const CheckpointRoot scratch;
  const fs::path root = scratch.path;
  save(root, 1, 1);
  save(root, 2, 2);
  fs::remove(root / "latest");
  leave(root);
  const auto loaded = load_latest_checkpoint(root);
  REQUIRE(loaded);
  CHECK(loaded->state.step == 2);
  CHECK(value_of(*loaded) == 2);
  save(root, 3, 3);
  CHECK(fs::is_symlink(root / "latest"));
  CHECK(value_of(load_checkpoint(root / "latest")) == 3);
  CHECK(names_in(root) == after);
  CHECK(!has_leftovers(root));
}

TEST_CASE("latest becomes a link again, whatever a copy made of it") {
  const std::vector<std::string> all{"latest", "step_000000000001",
                                     "step_000000000002", "step_000000000003"};
  auto aside = all;
  aside.insert(aside.begin() + 1, "latest.copy");
  const auto copy = [](const fs::path& root) {
    fs::copy(root / "step_000000000002", root / "latest");
  };
  check_heals("nothing", [](auto&) {}, all);
  check_heals("a dangling link", [](const fs::path& root) {
    fs::create_symlink("step_000000000099", root / "latest");
  }, all);
  check_heals("a text file", [](const fs::path& root) {
    spill(root / "latest", "step_000000000002\n");
  }, all);
  check_heals("an empty file", [](const fs::path& root) {
    spill(root / "latest", "");
  }, all);
  check_heals("a folder", copy, all);
  check_heals("the one copy that is left", [&](const fs::path& root) {
    copy(root);
    fs::remove_all(root / "step_000000000002");
  }, all);
  check_heals("an empty folder", [](const fs::path& root) {
    fs::create_directory(root / "latest");
  }, aside);
  check_heals("part of a folder", [&](const fs::path& root) {
    copy(root);
    fs::remove(root / "latest" / "manifest.json");
  }, aside);
  check_heals("a folder with something else in it", [&](const fs::path& root) {
    copy(root);
    spill(root / "latest" / "notes.txt", "mine");
  }, aside);
}

TEST_CASE("a damaged copy at latest alone is no fresh start") {
  const CheckpointRoot scratch;
  save(scratch.path, 2, 2);
  fs::remove(scratch.path / "latest");
  fs::rename(scratch.path / "step_000000000002", scratch.path / "latest");
  const auto loaded = load_latest_checkpoint(scratch.path);
  REQUIRE(loaded);
  CHECK(loaded->state.step == 2);
  fs::resize_file(scratch.path / "latest" / kShard, 50);
  CHECK_THROWS_WITH_AS(load_latest_checkpoint(scratch.path),
                       doctest::Contains("none of the 1 checkpoints"), Error);
}

TEST_CASE("equal state gives equal bytes") {
  const CheckpointRoot scratch;
  const fs::path a = save(scratch.path / "a", 5, 1);
  const fs::path b = save(scratch.path / "b", 5, 1);
  CHECK(slurp(a / kShard) == slurp(b / kShard));
  CHECK(slurp(a / "manifest.json") == slurp(b / "manifest.json"));
}

TEST_CASE("any flipped bit of the manifest is detected") {
  const CheckpointRoot scratch;
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
  const CheckpointRoot scratch;
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
  const CheckpointRoot scratch;
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

// Every float type; the first and the last element, and one in the middle.
TEST_CASE("a value that is not finite is found, and no other") {
  const auto found = [](DType dtype, const auto& values) {
    const TensorEntry entry{"w", dtype, {std::ssize(values)},
                            std::as_bytes(std::span(values))};
    return not_finite({&entry, 1}).value_or("");
  };
  const auto try_type = [&](DType dtype, auto finite, auto largest,
                            const auto&... bad) {
    std::vector<decltype(finite)> values(9001, finite);
    values[5] = largest;
    CHECK(found(dtype, values) == "");
    for (const std::size_t at : {0, 4095, 4096, 9000})
      for (const auto b : std::vector<decltype(finite)>{bad...}) {
        auto spoilt = values;
        spoilt[at] = b;
        CHECK(found(dtype, spoilt) ==
              fmt::format("w holds a value that is not finite, at element {}", at));
      }
  };
  using f = std::numeric_limits<float>;
  using d = std::numeric_limits<double>;
  try_type(DType::kF32, -1.5f, f::max(), f::infinity(), -f::infinity(),
           f::quiet_NaN());
  try_type(DType::kF64, 1.5, -d::max(), d::infinity(), -d::infinity(),
           d::quiet_NaN());
  using u16 = std::uint16_t;
  try_type(DType::kF16, u16{0xBC00}, u16{0x7BFF}, u16{0x7C00}, u16{0xFC00},
           u16{0x7E00});
  try_type(DType::kBF16, u16{0xBF80}, u16{0x7F7F}, u16{0x7F80}, u16{0xFF80},
           u16{0x7FC0});
  try_type(DType::kI32, 0x7F800000, -1);
}

TEST_CASE("nothing that is not finite is committed, or gone on from") {
  const CheckpointRoot scratch;
  save(scratch.path, 1, 1, 1);
  for (const float bad : {NAN, INFINITY}) {
    std::vector<float> weights(300, 7.0f);
    weights[299] = bad;
    const TensorEntry entry{"buffer/bn.running_mean", DType::kF32, {300},
                            std::as_bytes(std::span(weights))};
    try {
      save_checkpoint(scratch.path, state_of(2, 2), {&entry, 1}, 1);
      FAIL("it is committed");
    } catch (const Error& e) {
      CHECK(e.code() == ExitCode::kNumerical);
      CHECK(std::string(e.what()).starts_with(
          "[checkpoint] after step 2 buffer/bn.running_mean holds a value that is "
          "not finite, at element 299: it is not saved"));
    }
    CHECK(names_in(scratch.path) ==
          std::vector<std::string>{"latest", "step_000000000001"});
  }
  // As other versions wrote it: hashes hold, and it is left alone.
  const fs::path second = save(scratch.path, 2, 2, 2);
  {
    auto at = std::fstream(second / kShard, std::ios::in | std::ios::out |
                                                std::ios::binary);
    at.seekp(-4, std::ios::end);
    at.write("\0\0\xc0\x7f", 4);
  }
  const auto file = SafetensorsFile::open(second / kShard);
  REQUIRE(not_finite(file.tensors()));
  CheckpointManifest manifest = CheckpointManifest::read(second);
  SafetensorsFile::open(second / kShard, &manifest.files[0].second);
  spill(second / CheckpointManifest::kName, manifest.text());
  const auto latest = load_latest_checkpoint(scratch.path);
  REQUIRE(latest);
  CHECK(value_of(*latest) == 1);
  CHECK_THROWS_WITH_AS(load_checkpoint(second),
                       doctest::Contains("is not finite"), Error);
}

TEST_CASE("the newest healthy checkpoint outlives those after it") {
  const CheckpointRoot scratch;
  const auto save_sick = [&](std::int64_t step, const char* skipped) {
    const std::int64_t value = step;
    const TensorEntry entry{"value", DType::kI64, {},
                            std::as_bytes(std::span(&value, 1))};
    CheckpointState state = state_of(step, value);
    state.extra["skipped_in_a_row"] = skipped;
    save_checkpoint(scratch.path, state, {&entry, 1}, 2);
  };
  for (int step = 1; step <= 3; ++step) save_sick(step, "0");
  for (int step = 4; step <= 7; ++step) save_sick(step, "2");
  CHECK(names_in(scratch.path) ==
        std::vector<std::string>{"latest", "step_000000000003",
                                 "step_000000000006", "step_000000000007"});
  save_sick(8, "0");
  CHECK(names_in(scratch.path) ==
        std::vector<std::string>{"latest", "step_000000000007",
                                 "step_000000000008"});
}

TEST_CASE("a re-run replaces a step, and the replaced one is a fallback") {
  const CheckpointRoot scratch;
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

TEST_CASE("a start removes what no other one may be writing") {
  const CheckpointRoot scratch;
  const std::string mine = "0123456789abcdef", theirs = "fedcba9876543210";
  const auto leftovers = [&] {
    for (const std::string& name :
         {std::string(".tmp-1-run-a"), ".tmp-2-run-a." + mine, ".tmp-3-run-a." + theirs,
          std::string(".tmp-4-run-a.notatoken"), ".tmp-5-run-ab." + theirs})
      fs::create_directories(scratch.path / name);
  };
  const auto save_as = [&](bool sole) {
    const std::int64_t value = 1;
    const TensorEntry entry{"value", DType::kI64, {},
                            std::as_bytes(std::span(&value, 1))};
    leftovers();
    save_checkpoint(scratch.path, state_of(9, 1), {&entry, 1}, 1,
                    {.token = mine, .sole = sole});
    std::vector<std::string> left;
    for (const std::string& name : names_in(scratch.path))
      if (name.starts_with(".tmp-")) left.push_back(name);
    return left;
  };
  CHECK(save_as(false) ==
        std::vector<std::string>{".tmp-1-run-a", ".tmp-3-run-a." + theirs,
                                 ".tmp-4-run-a.notatoken",
                                 ".tmp-5-run-ab." + theirs});
  CHECK(save_as(true) == std::vector<std::string>{".tmp-4-run-a.notatoken",
                                                  ".tmp-5-run-ab." + theirs});
}

// Asked before anything is touched, and again when all is written.
TEST_CASE("a start that owns the run no more commits nothing") {
  for (const int at : {0, 1}) {
    const CheckpointRoot scratch;
    save(scratch.path, 1, 1);
    int asked = 0;
    const auto require = [&] {
      if (asked++ == at) throw error(ExitCode::kUsage, "taken");
    };
    const std::int64_t value = 2;
    const TensorEntry entry{"value", DType::kI64, {},
                            std::as_bytes(std::span(&value, 1))};
    CHECK_THROWS_WITH_AS(
        save_checkpoint(scratch.path, state_of(2, 2), {&entry, 1}, 1,
                        {.token = "0123456789abcdef", .require = require}),
        "taken", Error);
    CHECK(names_in(scratch.path) ==
          std::vector<std::string>{"latest", "step_000000000001"});
  }
}

TEST_CASE("only our own old checkpoints and temporaries are deleted") {
  const CheckpointRoot scratch;
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
    const CheckpointRoot scratch;
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

}
