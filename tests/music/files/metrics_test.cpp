#include "music/files/metrics.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

namespace {

using namespace music;
namespace fs = std::filesystem;

struct TempFolder {
  TempFolder() {
    static int count = 0;
    path = fs::temp_directory_path() /
           fmt::format("music_metrics_{}_{}", getpid(), count++);
    fs::create_directories(path);
  }
  ~TempFolder() { fs::remove_all(path); }
  fs::path path;
};

std::string content(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Metrics step(std::int64_t n) { return {{"step", n}, {"loss", -8.0}}; }

}  // namespace

TEST_SUITE("metrics") {
  TEST_CASE("a line is JSON in the given order") {
    const Metrics m{{"epoch", 1},
                    {"step", std::int64_t{1} << 60},
                    {"loss", std::numeric_limits<double>::quiet_NaN()},
                    {"time", 0.1},
                    {"lr", 1e-7},
                    {"grad", -std::numeric_limits<double>::infinity()},
                    {"big", 1e20},
                    {"verdict", "a \"b\"\n\xff"}};
    const std::string line = to_json(m);
    CHECK(line ==
          "{\"epoch\":1,\"step\":1152921504606846976,\"loss\":null,"
          "\"time\":0.1,\"lr\":1e-07,\"grad\":null,\"big\":1e+20,"
          "\"verdict\":\"a \\\"b\\\"\\n\xef\xbf\xbd\"}");
    CHECK(nlohmann::json::parse(line).at("lr") == 1e-7);
    CHECK(to_json({}) == "{}");
  }

  TEST_CASE("resume truncates to the checkpoint and leaves no duplicate") {
    const TempFolder folder;
    const fs::path path = folder.path / "metrics.jsonl";
    std::int64_t saved = 0;
    {
      MetricsWriter writer(path);
      CHECK(writer.bytes() == 0);
      writer.write({{"argv", "music_train"}});
      for (std::int64_t n = 0; n < 10; ++n) {
        if (n == 6) saved = writer.bytes();
        writer.write(step(n));
      }
      CHECK(writer.bytes() == static_cast<std::int64_t>(fs::file_size(path)));
    }
    std::ofstream(path, std::ios::app) << "{\"step\":10,\"lo";  // the crash
    {
      MetricsWriter writer(path);
      CHECK(content(path).back() == '\n');
      writer.truncate_to(saved);
      for (std::int64_t n = 6; n < 12; ++n) writer.write(step(n));
      writer.truncate_to(1 << 30);  // a shorter file stays as it is
    }
    std::ifstream in(path);
    std::string line;
    std::getline(in, line);
    CHECK(line == "{\"argv\":\"music_train\"}");
    for (int n = 0; n < 12; ++n) {
      REQUIRE(std::getline(in, line));
      CHECK(nlohmann::json::parse(line).at("step") == n);
    }
    CHECK_FALSE(std::getline(in, line));
  }

  TEST_CASE("a torn file without any newline starts afresh") {
    const TempFolder folder;
    const fs::path path = folder.path / "metrics.jsonl";
    std::ofstream(path) << "{\"argv\":";
    MetricsWriter writer(path);
    CHECK(writer.bytes() == 0);
  }

  TEST_CASE("a folder that is missing is a warning, and heals") {
    const TempFolder folder;
    const fs::path path = folder.path / "late" / "metrics.jsonl";
    MetricsWriter writer(path);
    CHECK_NOTHROW(writer.write(step(0)));
    CHECK(writer.bytes() == 0);
    fs::create_directories(path.parent_path());
    writer.write(step(1));
    CHECK(content(path) == "{\"step\":1,\"loss\":-8}\n");
    CHECK_NOTHROW(MetricsWriter("/proc/no/such/file").write(step(0)));
  }

  TEST_CASE("a disk that fills up leaves whole lines and heals") {
    const TempFolder folder;
    const fs::path path = folder.path / "metrics.jsonl";
    MetricsWriter writer(path);
    writer.write(step(0));
    const std::string before = content(path);
    // A file-size limit makes the kernel write short and then refuse.
    rlimit old{};
    getrlimit(RLIMIT_FSIZE, &old);
    rlimit small = old;
    small.rlim_cur = before.size() + 5;
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    CHECK_NOTHROW(writer.write(step(1)));
    const std::string during = content(path);
    setrlimit(RLIMIT_FSIZE, &old);
    std::signal(SIGXFSZ, handler);
    CHECK(during == before);
    CHECK(writer.bytes() == static_cast<std::int64_t>(before.size()));
    writer.write(step(2));
    CHECK(content(path) == before + "{\"step\":2,\"loss\":-8}\n");
  }
}
