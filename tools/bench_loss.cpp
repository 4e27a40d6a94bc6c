// bench_loss: time and memory of the joint-entropy loss with its gradient,
// beside eager PyTorch on the same data with the same number of threads.
//
// Extra memory is what the process needs beyond logits and gradients: the peak
// of its resident set during the loss (VmHWM, reset through
// /proc/self/clear_refs) minus the resident set just before. The peer's is
// measured the same way.

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/core/buffer.h"
#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "music/cpu/joint_entropy.h"
#include "tests/support/reference_loss.h"
#include "tools/cli.h"

namespace {

using namespace music;
namespace fs = std::filesystem;

constexpr std::int64_t kSegment = 80;

struct Views {
  std::vector<float> z1, z2, dz1, dz2;
};

// Logits of a network in training: spread 2, the views mostly agree.
Views make_views(std::int64_t n, std::int64_t units) {
  Rng rng(0, RngPurpose::kTest);
  const auto size = static_cast<std::size_t>(n * units);
  Views v{std::vector<float>(size), std::vector<float>(size),
          std::vector<float>(size, 1), std::vector<float>(size, 1)};
  for (std::size_t i = 0; i < size; ++i) {
    v.z1[i] = static_cast<float>(2 * rng.normal());
    v.z2[i] = v.z1[i] + static_cast<float>(rng.normal());
  }
  return v;
}

double distance(const std::vector<float>& a, const std::vector<double>& b) {
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - b[i];
    error += d * d;
    norm += b[i] * b[i];
  }
  return std::sqrt(error / norm);
}

void check_small_case(int threads) {
  const std::int64_t n = 32;
  const Segments segments = Segments::equal(160, 40);
  Views v = make_views(n, segments.units());
  const cpu::JointEntropy kernel({n, &segments, {}, threads});
  Buffer workspace(kernel.workspace_bytes());
  JointEntropyTerms terms;
  kernel.run(v.z1.data(), v.z2.data(), v.dz1.data(), v.dz2.data(), nullptr,
             terms, workspace.data());
  const auto expected = test::reference_loss(
      {v.z1.begin(), v.z1.end()}, {v.z2.begin(), v.z2.end()}, n, segments, {});
  const double loss = std::abs(terms.total / expected.terms.total - 1);
  const double gradient = std::max(distance(v.dz1, expected.dz1),
                                   distance(v.dz2, expected.dz2));
  MUSIC_CHECK(loss < 1e-6 && gradient < 1e-5,
              "[bench_loss] differs from the reference: loss {:.1e} (1e-6 "
              "allowed), gradient {:.1e} (1e-5 allowed)", loss, gradient);
  fmt::print("check against the double reference: loss {:.1e}, gradient {:.1e} "
             "relative\n", loss, gradient);
}

// A field of /proc/self/status, in bytes.
double memory(const std::string& field) {
  std::ifstream status("/proc/self/status");
  std::string key;
  double kilobytes = 0;
  while (status >> key)
    if (key == field + ":" && status >> kilobytes) return 1024 * kilobytes;
  throw error(ExitCode::kInternal, "[bench_loss] no {} in /proc/self/status",
              field);
}

struct Figures {
  double ms = 0, extra_mb = 0, total = 0;
};

Figures measure(Views& v, std::int64_t n, const Segments& segments,
                int threads, int reps) {
  std::ofstream("/proc/self/clear_refs") << "5";
  const double before = memory("VmRSS");
  const cpu::JointEntropy kernel({n, &segments, {}, threads});
  Buffer workspace(kernel.workspace_bytes());
  JointEntropyTerms terms;
  std::vector<double> ms;
  for (int r = 0; r <= reps; ++r) {  // the first one warms up
    const auto start = std::chrono::steady_clock::now();
    kernel.run(v.z1.data(), v.z2.data(), v.dz1.data(), v.dz2.data(), nullptr,
               terms, workspace.data());
    const std::chrono::duration<double, std::milli> took =
        std::chrono::steady_clock::now() - start;
    if (r > 0) ms.push_back(took.count());
  }
  std::nth_element(ms.begin(), ms.begin() + reps / 2, ms.end());
  return {ms[static_cast<std::size_t>(reps / 2)],
          (memory("VmHWM") - before) / 1e6, terms.total};
}

void write(const fs::path& file, const std::vector<float>& values) {
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(values.data()),
             static_cast<std::streamsize>(values.size() * sizeof(float)));
}

// One line of JSON from tools/peers/loss_peer.py; nothing when it failed.
std::optional<nlohmann::json> ask_peer(const std::string& python,
                                       const Views& v, std::int64_t n,
                                       std::int64_t units, int threads,
                                       int reps) {
  std::string folder = (fs::temp_directory_path() / "bench_loss_XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr)
    throw error(ExitCode::kDiskFull, "[bench_loss] cannot create {}", folder);
  write(folder + "/z1.f32", v.z1);
  write(folder + "/z2.f32", v.z2);
  write(folder + "/dz1.f32", v.dz1);
  write(folder + "/dz2.f32", v.dz2);
  const std::string command = fmt::format(
      "OMP_NUM_THREADS={} {} '{}' --folder '{}' --n {} --d {} --segment {} "
      "--threads {} --reps {}",
      threads, python, MUSIC_PEER_SCRIPT, folder, n, units, kSegment, threads,
      reps);
  std::string output;
  if (FILE* pipe = popen(command.c_str(), "r")) {
    char buffer[512];
    while (std::fgets(buffer, sizeof buffer, pipe)) output += buffer;
    pclose(pipe);
  }
  fs::remove_all(folder);
  const auto parsed = nlohmann::json::parse(output, nullptr, false);
  if (parsed.is_discarded()) return std::nullopt;
  return parsed;
}

void bench(std::int64_t n, std::int64_t units, int threads, int reps,
           const std::vector<std::string>& peers) {
  const Segments segments = Segments::equal(units, kSegment);
  Views v = make_views(n, units);
  const Figures ours = measure(v, n, segments, threads, reps);
  const double d = static_cast<double>(units);
  const double gflop = 6e-9 * static_cast<double>(n) * d * d;
  fmt::print("D {:5}  {:8.1f} ms  {:6.1f} GFLOP/s  extra {:7.1f} MB  (D x D "
             "alone: {:.1f} MB)\n",
             units, ours.ms, gflop / ours.ms * 1e3, ours.extra_mb,
             4e-6 * d * d);
  std::fflush(stdout);
  for (const std::string& python : peers) {
    const auto peer = ask_peer(python, v, n, units, threads, reps);
    if (!peer) {
      fmt::print("         peer {}: no result\n", python);
      continue;
    }
    const double ms = peer->at("ms"), mb = peer->at("extra_mb");
    const double total = peer->at("total");
    fmt::print("         torch {}: {:.1f} ms, extra {:.1f} MB; ratio time "
               "{:.2f}x, memory {:.1f}x; agreement loss {:.1e}, gradient "
               "{:.1e}\n",
               peer->at("torch").get<std::string>(), ms, mb, ms / ours.ms,
               mb / ours.extra_mb, std::abs(total / ours.total - 1),
               peer->at("distance").get<double>());
    std::fflush(stdout);
  }
}

bool has_torch(const std::string& python) {
  return std::system((python + " -c 'import torch' 2>/dev/null").c_str()) == 0;
}

int run(int argc, char** argv) {
  CLI::App app("Time and memory of the MUSIC loss (D_S 80)");
  std::int64_t n = 256;
  int threads = 0, reps = 5;
  std::vector<std::int64_t> sizes{960, 2000, 4080, 8160};
  std::vector<std::string> peers{"python3"};
  app.add_option("--batch", n, "samples")->check(CLI::PositiveNumber);
  app.add_option("--threads", threads, "0 = all cores");
  app.add_option("--reps", reps, "timed runs; the median counts")
      ->check(CLI::PositiveNumber);
  app.add_option("--units", sizes, "values of D, multiples of 80");
  app.add_option("--peer", peers, "Pythons with PyTorch to compare with");
  if (!parse(app, argc, argv)) return 0;
  if (threads <= 0) threads = omp_get_max_threads();
  fmt::print("joint-entropy loss and gradient, N {}, D_S {}, {} threads, fp32, "
             "median of {}\n", n, kSegment, threads, reps);
  check_small_case(threads);
  std::erase_if(peers, [](const std::string& python) {
    const bool missing = !has_torch(python);
    if (missing) fmt::print("peer {}: no PyTorch, skipped\n", python);
    return missing;
  });
  for (const std::int64_t units : sizes) bench(n, units, threads, reps, peers);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return music::run_main(argc, argv, run); }
