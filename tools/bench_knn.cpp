// bench_knn: exact nearest neighbours of many features, beside FAISS's flat index
// on the same features with the same number of threads, in turns.
//
// Ours starts from features as they are: lengths of rows are part of the time.
// FAISS has rows of length 1 in its index already. Memory is the peak of the
// whole process over the bytes of bank and queries.

#include <fmt/format.h>
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "dist/threads.h"
#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "music/eval/neighbours.h"
#include "tests/support/reference_knn.h"
#include "tools/bench_peer.h"
#include "tools/cli.h"

namespace {

using namespace music;
namespace fs = std::filesystem;

struct Options {
  std::int64_t rows = 100'000, width = 2048, queries = 1000, k = 200;
  int threads = 0, reps = 5;
  bool apart = false;
  std::vector<std::string> peers{"python3"};
  std::string peer_script = MUSIC_PEER_SCRIPT, folder;
};

// Features as pooled ReLU maps are: not negative, of any length.
std::vector<float> make_features(std::int64_t rows, std::int64_t width,
                                 std::uint32_t stream) {
  std::vector<float> values(static_cast<std::size_t>(rows * width));
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < rows; ++i) {
    Rng rng(0, RngPurpose::kTest, stream, static_cast<std::uint32_t>(i));
    const float scale = rng.uniform(0.5f, 2.0f);
    for (std::int64_t j = 0; j < width; ++j) {
      const float u = rng.uniform();
      values[static_cast<std::size_t>(i * width + j)] = scale * u * u;
    }
  }
  return values;
}

Turn measure(const Rows& bank, const Rows& queries, std::int64_t k,
             std::vector<Neighbour>& found) {
  const auto start = std::chrono::steady_clock::now();
  const double cpu = cpu_seconds();
  NeighbourSearch search(bank, "training");
  search.find(queries, k, found);
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
              .count(),
          cpu_seconds() - cpu};
}

void check_small_case(std::int64_t width) {
  constexpr std::int64_t kRows = 3000, kQueries = 20, kNearest = 50;
  const auto bank = make_features(kRows, width, 2);
  const auto queries = make_features(kQueries, width, 3);
  std::vector<Neighbour> found(kQueries * kNearest);
  measure({bank.data(), kRows, width}, {queries.data(), kQueries, width},
          kNearest, found);
  std::int64_t differ = 0;
  for (std::int64_t q = 0; q < kQueries; ++q) {
    const auto expected =
        test::reference_neighbours(bank, queries.data() + q * width, width);
    for (std::int64_t i = 0; i < kNearest; ++i)
      differ += found[static_cast<std::size_t>(q * kNearest + i)].row !=
                expected.rows[static_cast<std::size_t>(i)];
  }
  MUSIC_CHECK(differ == 0,
              "[bench_knn] {} of {} neighbours differ from brute force in double",
              differ, kQueries * kNearest);
  fmt::print("check against brute force in double: {} of {} neighbours the same\n",
             kQueries * kNearest, kQueries * kNearest);
}

void write(const fs::path& file, const std::vector<float>& values) {
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<const char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(float)));
  if (!out.flush())
    throw error(ExitCode::kDiskFull, "[bench_knn] cannot write {}", file.string());
}

// Of the peer's neighbours those that ours are not, and how much more similar
// (in double) ours are than it.
void compare(const fs::path& file, const std::vector<Neighbour>& found,
             const Rows& bank, const Rows& queries, std::int64_t k) {
  std::vector<std::int64_t> theirs(found.size());
  std::ifstream(file, std::ios::binary)
      .read(reinterpret_cast<char*>(theirs.data()),
            static_cast<std::streamsize>(theirs.size() * sizeof(std::int64_t)));
  std::int64_t others = 0;
  double worst = 0;
  for (std::int64_t q = 0; q < queries.count; ++q) {
    std::set<std::int64_t> ours;
    const auto at = static_cast<std::size_t>(q * k);
    const auto size = static_cast<std::size_t>(k);
    for (std::size_t i = 0; i < size; ++i) ours.insert(found[at + i].row);
    for (std::size_t i = 0; i < size; ++i) {
      const std::int64_t row = theirs[at + i];
      if (ours.count(row)) continue;
      ++others;
      worst = std::max(worst, found[at + size - 1].similarity -
                                  cosine_similarity(queries.row(q), bank.row(row),
                                                    bank.width));
    }
  }
  fmt::print("of its {} neighbours {} are not ours; ours are nearer by {:.1e} at "
             "most\n", theirs.size(), others, worst);
  MUSIC_CHECK(worst >= 0 && worst < 1e-6 &&
                  others < std::ssize(theirs) / 1000 + 1,
              "[bench_knn] differs from the peer's result");
}

bool has_faiss(const std::string& python) {
  return std::system((python + " -c 'import faiss' 2>/dev/null").c_str()) == 0;
}

int run(int argc, char** argv) {
  CLI::App app("Exact nearest neighbours beside FAISS");
  Options o;
  app.add_option("--rows", o.rows, "of the bank")->check(CLI::PositiveNumber);
  app.add_option("--width", o.width, "of a row")->check(CLI::PositiveNumber);
  app.add_option("--queries", o.queries, "rows to find neighbours of")
      ->check(CLI::PositiveNumber);
  app.add_option("--k", o.k, "neighbours")->check(CLI::PositiveNumber);
  app.add_option("--threads", o.threads, "default: OMP_NUM_THREADS, or else the cores it may use");
  app.add_option("--reps", o.reps, "turns of each; the median counts")
      ->check(CLI::PositiveNumber);
  app.add_flag("--apart", o.apart,
               "ours first, then the peer's: where memory holds one of them only");
  app.add_option("--peer", o.peers, "Pythons with faiss to compare with");
  app.add_option("--peer-script", o.peer_script, "the same search in FAISS");
  if (!parse(app, argc, argv)) return 0;
  o.threads = dist::choose_threads(o.threads, 0).compute;
  omp_set_num_threads(o.threads);
  fmt::print("{} nearest of {} x {} features, {} queries, {} threads, fp32, medians "
             "of {}\n", o.k, o.rows, o.width, o.queries, o.threads, o.reps);
  check_small_case(o.width);

  std::vector<float> bank = make_features(o.rows, o.width, 0);
  const std::vector<float> queries = make_features(o.queries, o.width, 1);
  const Rows b{bank.data(), o.rows, o.width};
  const Rows q{queries.data(), o.queries, o.width};
  const double features =
      static_cast<double>((bank.size() + queries.size()) * sizeof(float));
  std::vector<Neighbour> found(static_cast<std::size_t>(o.queries * o.k));
  const double gflop = 2e-9 * static_cast<double>(o.queries) *
                       static_cast<double>(o.rows) * static_cast<double>(o.width);
  std::erase_if(o.peers, [](const std::string& python) {
    const bool missing = !has_faiss(python);
    if (missing) fmt::print("peer {}: no faiss, skipped\n", python);
    return missing;
  });
  std::vector<Turn> ours;
  const auto tell = [&] {
    const Turn t = medians(ours);
    fmt::print("ours:  {:.2f} s, {:.0f} GFLOP/s, {:.2f} s of the processor, peak "
               "memory {:.3f}x of the features\n", t.seconds, gflop / t.seconds,
               t.cpu, peak_rss_mib() * 1048576 / features);
    std::fflush(stdout);
  };
  if (o.peers.empty() || o.apart) {
    for (int r = 0; r < o.reps; ++r) ours.push_back(measure(b, q, o.k, found));
    tell();
  }
  if (o.peers.empty()) return 0;

  o.folder = (fs::temp_directory_path() / "bench_knn_XXXXXX").string();
  if (mkdtemp(o.folder.data()) == nullptr)
    throw error(ExitCode::kDiskFull, "[bench_knn] cannot create {}", o.folder);
  const std::string folder = o.folder;
  const struct Clean {
    const std::string& folder;
    ~Clean() { fs::remove_all(folder); }
  } clean{folder};
  write(folder + "/bank.f32", bank);
  write(folder + "/queries.f32", queries);
  for (const std::string& python : o.peers) {
    if (o.apart) std::vector<float>().swap(bank);  // room for the peer's
    else ours.clear();
    std::vector<Turn> theirs;
    Peer peer({python, o.peer_script, "--folder", o.folder, "--width",
               std::to_string(o.width), "--k", std::to_string(o.k), "--threads",
               std::to_string(o.threads)}, o.threads);
    const auto ready = peer.read();
    for (int r = 0; r < o.reps; ++r) {
      if (!o.apart) ours.push_back(measure(b, q, o.k, found));
      theirs.push_back(peer.measure());
    }
    if (!o.apart) tell();
    peer.close_input();
    const double peak = peer.read().at("peak");
    const Turn t = medians(theirs), mine = medians(ours);
    fmt::print("FAISS {} ({}): {:.2f} s, {:.0f} GFLOP/s, {:.2f} s of the processor, "
               "peak memory {:.3f}x; ratio time {:.2f}x, processor {:.2f}x\n",
               ready.at("faiss").get<std::string>(),
               ready.at("options").get<std::string>(), t.seconds,
               gflop / t.seconds, t.cpu, peak / features,
               t.seconds / mine.seconds, t.cpu / mine.cpu);
    std::fflush(stdout);
    if (bank.empty()) {
      bank = make_features(o.rows, o.width, 0);
    }
    compare(folder + "/rows.i64", found, {bank.data(), o.rows, o.width}, q, o.k);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return music::run_main(argc, argv, run); }
