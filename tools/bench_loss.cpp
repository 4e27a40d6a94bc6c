// bench_loss: time and memory of the joint-entropy loss with its gradient,
// beside eager PyTorch on the same data with the same number of threads, or on
// the same GPU.
//
// Extra memory is what the process needs beyond logits and gradients. CPU: the
// peak of its resident set during the loss (VmHWM, reset through
// /proc/self/clear_refs) minus the resident set just before; the peer's is
// measured the same way. GPU: the workspace; the peer's is the most that its
// allocator had given out.

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

#include "dist/threads.h"
#include "engine/core/buffer.h"
#include "engine/core/device_runtime.h"
#include "engine/core/error.h"
#include "engine/core/rng.h"
#include "music/loss/cpu/joint_entropy.h"
#include "music/loss/joint_entropy.h"
#include "tests/support/reference_loss.h"
#include "tools/bench_common.h"
#include "tools/cli.h"

namespace {

using namespace music;
namespace fs = std::filesystem;

constexpr std::int64_t kSegment = 80;

struct Options {
  std::int64_t n = 256;
  int threads = 0, reps = 5;
  std::vector<std::int64_t> units{960, 2000, 4080, 8160};
  std::vector<std::string> peers{"python3"};
  std::string peer_script = MUSIC_PEER_SCRIPT;
  std::string device = "cpu", codes = "fp16";

  bool on_gpu() const { return device == "cuda"; }
  // What the codes are multiplied as.
  DType dtype() const {
    return on_gpu() && codes == "fp16" ? DType::kF16 : DType::kF32;
  }
};

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

struct Figures {
  double ms = 0, extra_mb = 0, total = 0;
};

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

Figures measure_cpu(Views& v, std::int64_t n, const Segments& segments,
                    const Options& o) {
  std::ofstream("/proc/self/clear_refs") << "5";
  const double before = memory("VmRSS");
  const cpu::JointEntropy kernel({n, &segments, {}, o.threads});
  Buffer workspace(kernel.workspace_bytes());
  JointEntropyTerms terms;
  std::vector<double> ms;
  for (int r = 0; r <= o.reps; ++r) {  // the first one warms up
    const auto start = std::chrono::steady_clock::now();
    kernel.run(v.z1.data(), v.z2.data(), v.dz1.data(), v.dz2.data(), nullptr,
               terms, workspace.data());
    const std::chrono::duration<double, std::milli> took =
        std::chrono::steady_clock::now() - start;
    if (r > 0) ms.push_back(took.count());
  }
  return {median(ms), (memory("VmHWM") - before) / 1e6, terms.total};
}

Figures measure_gpu(Views& v, std::int64_t n, const Segments& segments,
                    const Options& o) {
  const std::int64_t units = segments.units();
  const auto device = [](const Shape& shape, DType dtype = DType::kF32) {
    ValueInfo info;
    info.shape = shape, info.dtype = dtype;
    return info;
  };
  KernelRequest request;
  request.device = Device::kCuda;
  request.in = {device({2 * n, units})};
  request.out = {device({1}), device({2 * n, units}), device({4}, DType::kF64),
                 device({2, units})};
  const auto kernel =
      MUSIC_MAKE(make_joint_entropy, request, segments, {}, {}, o.dtype());
  std::vector<Buffer> blocks;
  const auto tensors = [&](const std::vector<ValueInfo>& infos) {
    std::vector<Tensor> list;
    for (const ValueInfo& i : infos) {
      Tensor t{nullptr, i.shape, i.dtype};
      t.data = blocks.emplace_back(t.bytes(), Memory::kDevice).data();
      list.push_back(t);
    }
    return list;
  };
  const std::vector<Tensor> in = tensors(request.in);
  const std::vector<Tensor> out = tensors(request.out);
  const Buffer workspace(kernel->workspace_bytes(), Memory::kDevice);
  const std::size_t view = v.z1.size() * sizeof(float);
  const auto half = [&](const Tensor& t, int which) {
    return static_cast<std::byte*>(t.data) +
           static_cast<std::size_t>(which) * view;
  };
  upload(half(in[0], 0), v.z1.data(), view, Device::kCuda);
  upload(half(in[0], 1), v.z2.data(), view, Device::kCuda);

  const cuda::Stream stream;
  std::vector<double> ms;
  for (int r = 0; r <= o.reps; ++r) {  // the first one warms up
    cuda::Event start(true), end(true);
    start.record(stream.get());
    kernel->run({in, out, workspace.data(), stream.get()});
    end.record(stream.get());
    end.synchronize();
    if (r > 0) ms.push_back(cuda::Event::milliseconds(start, end));
  }
  download(v.dz1.data(), half(out[1], 0), view, Device::kCuda);
  download(v.dz2.data(), half(out[1], 1), view, Device::kCuda);
  float total = 0;
  download(&total, out[0].data, sizeof total, Device::kCuda);
  return {median(ms), static_cast<double>(workspace.bytes()) / 1e6,
          static_cast<double>(total)};
}

// Leaves the gradient in v.
Figures measure(Views& v, std::int64_t n, const Segments& segments,
                const Options& o) {
  return o.on_gpu() ? measure_gpu(v, n, segments, o)
                    : measure_cpu(v, n, segments, o);
}

void check_small_case(Options o) {
  const std::int64_t n = 32;
  const Segments segments = Segments::equal(160, 40);
  Views v = make_views(n, segments.units());
  o.reps = 1;
  const Figures got = measure(v, n, segments, o);
  const auto expected = test::reference_loss(
      {v.z1.begin(), v.z1.end()}, {v.z2.begin(), v.z2.end()}, n, segments, {});
  const double allowed_loss = o.dtype() == DType::kF16 ? 1e-4 : 1e-6;
  const double allowed = o.dtype() == DType::kF16 ? 1e-3 : 1e-5;
  const double loss = std::abs(got.total / expected.terms.total - 1);
  const double gradient = std::max(distance(v.dz1, expected.dz1),
                                   distance(v.dz2, expected.dz2));
  MUSIC_CHECK(loss < allowed_loss && gradient < allowed,
              "[bench_loss] differs from the reference: loss {:.1e} ({} "
              "allowed), gradient {:.1e} ({} allowed)", loss, allowed_loss,
              gradient, allowed);
  fmt::print("check against the double reference: loss {:.1e}, gradient {:.1e} "
             "relative\n", loss, gradient);
}

void write(const fs::path& file, const std::vector<float>& values) {
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(values.data()),
             static_cast<std::streamsize>(values.size() * sizeof(float)));
}

// One line of JSON from tools/peers/loss_peer.py; nothing when it failed.
std::optional<nlohmann::json> ask_peer(const std::string& python,
                                       const std::string& precision,
                                       const Views& v, std::int64_t units,
                                       const Options& o) {
  std::string folder =
      (fs::temp_directory_path() / "bench_loss_XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr)
    throw error(ExitCode::kDiskFull, "[bench_loss] cannot create {}", folder);
  write(folder + "/z1.f32", v.z1);
  write(folder + "/z2.f32", v.z2);
  write(folder + "/dz1.f32", v.dz1);
  write(folder + "/dz2.f32", v.dz2);
  const std::string command = fmt::format(
      "OMP_NUM_THREADS={} {} '{}' --folder '{}' --n {} --d {} --segment {} "
      "--threads {} --reps {} --device {} --precision {}",
      o.threads, python, o.peer_script, folder, o.n, units, kSegment, o.threads,
      o.reps, o.device, precision);
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

// One D: the views, with our gradient in them, and our figures.
struct Case {
  std::int64_t units;
  Views views;
  Figures ours;
};

Case bench(std::int64_t units, const Options& o) {
  const Segments segments = Segments::equal(units, kSegment);
  Views v = make_views(o.n, units);
  const Figures ours = measure(v, o.n, segments, o);
  const double d = static_cast<double>(units);
  const double gflop = 6e-9 * static_cast<double>(o.n) * d * d;
  fmt::print("D {:5}  {:8.2f} ms  {:8.1f} GFLOP/s  extra {:7.1f} MB  (D x D "
             "alone: {:.1f} MB)\n",
             units, ours.ms, gflop / ours.ms * 1e3, ours.extra_mb,
             4e-6 * d * d);
  std::fflush(stdout);
  return {units, std::move(v), ours};
}

void bench_peers(const Case& c, const Options& o) {
  const Figures& ours = c.ours;
  std::vector<std::string> precisions{"fp32"};
  if (o.dtype() == DType::kF16) precisions.push_back("fp16");
  for (const std::string& python : o.peers)
    for (const std::string& precision : precisions) {
      const auto peer = ask_peer(python, precision, c.views, c.units, o);
      if (!peer) {
        fmt::print("D {:5}  peer {}, {}: no result\n", c.units, python,
                   precision);
        continue;
      }
      const double ms = peer->at("ms"), mb = peer->at("extra_mb");
      const double total = peer->at("total");
      fmt::print("D {:5}  torch {}, {}: {:.2f} ms, extra {:.1f} MB; ratio "
                 "time {:.2f}x, memory {:.1f}x; ours against its {}: loss {:.1e}, "
                 "gradient {:.1e}\n",
                 c.units, peer->at("torch").get<std::string>(), precision, ms,
                 mb, ms / ours.ms, mb / ours.extra_mb, o.on_gpu() ? "fp64" : "fp32",
                 std::abs(ours.total / total - 1),
                 peer->at("distance").get<double>());
      std::fflush(stdout);
    }
}

bool has_torch(const std::string& python) {
  return std::system((python + " -c 'import torch' 2>/dev/null").c_str()) == 0;
}

int run(int argc, char** argv) {
  CLI::App app("Time and memory of the MUSIC loss (D_S 80)");
  Options o;
  app.add_option("--batch", o.n, "samples")->check(CLI::PositiveNumber);
  app.add_option("--threads", o.threads, "default: OMP_NUM_THREADS, or else the cores it may use");
  app.add_option("--reps", o.reps, "timed runs; the median counts")
      ->check(CLI::PositiveNumber);
  app.add_option("--units", o.units, "values of D, multiples of 80");
  app.add_option("--device", o.device, "cpu or cuda")
      ->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--codes", o.codes,
                 "on a GPU, what codes are multiplied as: fp16 or fp32")
      ->check(CLI::IsMember({"fp16", "fp32"}));
  app.add_option("--peer", o.peers, "Pythons with PyTorch to compare with");
  app.add_option("--peer-script", o.peer_script, "the same loss in PyTorch");
  if (!parse(app, argc, argv)) return 0;
  o.threads = dist::choose_threads(o.threads, 0).compute;
  std::string where = fmt::format("{} threads", o.threads);
  if (o.on_gpu()) {
    cuda::select_device(0);
    where = cuda::device_info().name;
  }
  fmt::print("joint-entropy loss and gradient, N {}, D_S {}, {}, {}, median of "
             "{}\n", o.n, kSegment, where,
             o.dtype() == DType::kF16 ? "fp16 codes" : "fp32", o.reps);
  check_small_case(o);
  // Ours first: a peer may take long, or for ever.
  std::vector<Case> cases;
  for (const std::int64_t units : o.units) cases.push_back(bench(units, o));
  std::erase_if(o.peers, [](const std::string& python) {
    const bool missing = !has_torch(python);
    if (missing) fmt::print("peer {}: no PyTorch, skipped\n", python);
    return missing;
  });
  for (const Case& c : cases) bench_peers(c, o);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return music::run_main(argc, argv, run); }
