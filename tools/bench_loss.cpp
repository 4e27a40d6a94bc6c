// bench_loss: time and memory of a loss with its gradient, the joint entropy,
// VICReg or Barlow Twins, beside eager PyTorch on the same data with the same
// number of threads, or on the same GPU.
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
#include "music/loss/barlow_twins.h"
#include "music/loss/joint_entropy.h"
#include "music/loss/vicreg.h"
#include "tests/support/reference_loss.h"
#include "tests/support/reference_views.h"
#include "tools/bench_common.h"
#include "tools/cli.h"

namespace {

using namespace music;
namespace fs = std::filesystem;

struct Options {
  std::int64_t n = 256;
  int threads = 0, reps = 5;
  std::string method = "joint_entropy";
  std::int64_t segment = 80;  // of the joint entropy
  std::vector<std::int64_t> units;
  std::vector<std::string> peers{"python3"};
  std::string peer_script = MUSIC_PEER_SCRIPT;
  std::string device = "cpu", codes = "fp16";

  bool on_gpu() const { return device == "cuda"; }
  bool segmented() const { return method == "joint_entropy"; }
  // What the codes are multiplied as; VICReg's are fp32 whatever they are.
  DType dtype() const {
    const bool narrow = codes == "fp16" && method != "vicreg";
    return on_gpu() && narrow ? DType::kF16 : DType::kF32;
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

using Tensors = std::vector<Tensor>;

// Of each run but the first, which warms up.
std::vector<double> time_cpu(Kernel& kernel, const Tensors& in,
                             const Tensors& out, const Buffer& workspace,
                             int reps) {
  std::vector<double> ms;
  for (int r = 0; r <= reps; ++r) {
    const auto start = std::chrono::steady_clock::now();
    kernel.run({in, out, workspace.data(), nullptr});
    const std::chrono::duration<double, std::milli> took =
        std::chrono::steady_clock::now() - start;
    if (r > 0) ms.push_back(took.count());
  }
  return ms;
}

std::vector<double> time_gpu(Kernel& kernel, const Tensors& in,
                             const Tensors& out, const Buffer& workspace,
                             int reps) {
  const cuda::Stream stream;
  std::vector<double> ms;
  for (int r = 0; r <= reps; ++r) {
    cuda::Event start(true), end(true);
    start.record(stream.get());
    kernel.run({in, out, workspace.data(), stream.get()});
    end.record(stream.get());
    end.synchronize();
    if (r > 0) ms.push_back(cuda::Event::milliseconds(start, end));
  }
  return ms;
}

std::unique_ptr<Kernel> make_loss(const KernelRequest& r, std::int64_t units,
                                  const Options& o) {
  if (o.method == "vicreg")
    return MUSIC_MAKE(make_vicreg, r, {}, {}, o.dtype());
  if (o.method == "barlow_twins")
    return MUSIC_MAKE(make_barlow_twins, r, {}, {}, o.dtype());
  return MUSIC_MAKE(make_joint_entropy, r, Segments::equal(units, o.segment),
                    {}, {}, o.dtype());
}

// Leaves the gradient in v.
Figures measure(Views& v, std::int64_t n, std::int64_t units,
                const Options& o) {
  const Device device = o.on_gpu() ? Device::kCuda : Device::kCpu;
  const auto value = [](const Shape& shape, DType dtype = DType::kF32) {
    ValueInfo info;
    info.shape = shape, info.dtype = dtype;
    return info;
  };
  KernelRequest request;
  request.device = device;
  request.in = {value({2 * n, units})};
  request.out = {value({1}), value({2 * n, units}), value({4}, DType::kF64),
                 value({2, units})};
  std::vector<Buffer> blocks;
  const auto tensors = [&](const std::vector<ValueInfo>& infos) {
    std::vector<Tensor> list;
    for (const ValueInfo& i : infos) {
      Tensor t{nullptr, i.shape, i.dtype};
      t.data = blocks.emplace_back(t.bytes(), memory_of(device)).data();
      list.push_back(t);
    }
    return list;
  };
  const std::vector<Tensor> in = tensors(request.in);
  const std::vector<Tensor> out = tensors(request.out);
  const std::size_t view = v.z1.size() * sizeof(float);
  const auto half = [&](const Tensor& t, int which) {
    return static_cast<std::byte*>(t.data) +
           static_cast<std::size_t>(which) * view;
  };
  upload(half(in[0], 0), v.z1.data(), view, device);
  upload(half(in[0], 1), v.z2.data(), view, device);
  for (int which : {0, 1})  // pages of the gradient are not the loss's
    upload(half(out[1], which), v.z1.data(), view, device);

  omp_set_num_threads(o.threads);
  double before = 0;
  if (!o.on_gpu()) {
    std::ofstream("/proc/self/clear_refs") << "5";
    before = memory("VmRSS");
  }
  const auto kernel = make_loss(request, units, o);
  const Buffer workspace(kernel->workspace_bytes(), memory_of(device));
  const std::vector<double> ms =
      o.on_gpu() ? time_gpu(*kernel, in, out, workspace, o.reps)
                 : time_cpu(*kernel, in, out, workspace, o.reps);
  const double extra = o.on_gpu() ? static_cast<double>(workspace.bytes())
                                  : memory("VmHWM") - before;
  download(v.dz1.data(), half(out[1], 0), view, device);
  download(v.dz2.data(), half(out[1], 1), view, device);
  float total = 0;
  download(&total, out[0].data, sizeof total, device);
  return {median(ms), extra / 1e6, static_cast<double>(total)};
}

// Total and gradients of both views.
struct Expected {
  double total;
  std::vector<double> dz1, dz2;
};

Expected reference(const Views& v, std::int64_t n, std::int64_t units,
                   const Options& o) {
  const std::vector<double> z1(v.z1.begin(), v.z1.end());
  const std::vector<double> z2(v.z2.begin(), v.z2.end());
  if (o.segmented()) {
    auto r = test::reference_loss(z1, z2, n, Segments::equal(units, o.segment),
                                  {});
    return {r.terms.total, std::move(r.dz1), std::move(r.dz2)};
  }
  std::vector<double> z = z1;
  z.insert(z.end(), z2.begin(), z2.end());
  const auto d = static_cast<std::size_t>(units);
  const auto r = o.method == "vicreg" ? test::reference_vicreg(z, d, {})
                                      : test::reference_barlow_twins(z, d, {});
  const auto half = r.dz.begin() + static_cast<std::ptrdiff_t>(z1.size());
  return {r.total(), {r.dz.begin(), half}, {half, r.dz.end()}};
}

void check_small_case(Options o) {
  const std::int64_t n = 32, units = 160;
  Views v = make_views(n, units);
  o.reps = 1;
  o.segment = 40;
  const Figures got = measure(v, n, units, o);
  const Expected expected = reference(v, n, units, o);
  const double allowed_loss = o.dtype() == DType::kF16 ? 1e-4 : 1e-6;
  const double allowed = o.dtype() == DType::kF16 ? 1e-3 : 1e-5;
  const double loss = std::abs(got.total / expected.total - 1);
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
      "OMP_NUM_THREADS={} {} '{}' --folder '{}' --method {} --n {} --d {} "
      "--segment {} --threads {} --reps {} --device {} --precision {}",
      o.threads, python, o.peer_script, folder, o.method, o.n, units, o.segment,
      o.threads, o.reps, o.device, precision);
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
  Views v = make_views(o.n, units);
  const Figures ours = measure(v, o.n, units, o);
  const double d = static_cast<double>(units);
  // Of the products by the definition; VICReg's matrices are two.
  const double products = o.method == "vicreg" ? 2 : 1;
  const double gflop = 6e-9 * products * static_cast<double>(o.n) * d * d;
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
  CLI::App app("Time and memory of a loss and its gradient");
  Options o;
  app.add_option("--method", o.method, "joint_entropy (D_S 80), vicreg or "
                 "barlow_twins")
      ->check(CLI::IsMember({"joint_entropy", "vicreg", "barlow_twins"}));
  app.add_option("--batch", o.n, "samples")->check(CLI::PositiveNumber);
  app.add_option("--threads", o.threads, "default: OMP_NUM_THREADS, or else the cores it may use");
  app.add_option("--reps", o.reps, "timed runs; the median counts")
      ->check(CLI::PositiveNumber);
  app.add_option("--units", o.units, "values of D; of the joint entropy, "
                 "multiples of 80");
  app.add_option("--device", o.device, "cpu or cuda")
      ->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--codes", o.codes,
                 "on a GPU, what codes are multiplied as: fp16 or fp32")
      ->check(CLI::IsMember({"fp16", "fp32"}));
  app.add_option("--peer", o.peers, "Pythons with PyTorch to compare with");
  app.add_option("--peer-script", o.peer_script, "the same loss in PyTorch");
  if (!parse(app, argc, argv)) return 0;
  o.threads = dist::choose_threads(o.threads, 0).compute;
  if (o.units.empty())
    o.units = o.segmented() ? std::vector<std::int64_t>{960, 2000, 4080, 8160}
                            : std::vector<std::int64_t>{1024, 2048, 4096, 8192};
  std::string where = fmt::format("{} threads", o.threads);
  if (o.on_gpu()) {
    cuda::select_device(0);
    where = cuda::device_info().name;
  }
  const std::string name = o.segmented() ? "joint-entropy" : o.method;
  const std::string segment =
      o.segmented() ? fmt::format(", D_S {}", o.segment) : "";
  fmt::print("{} loss and gradient, N {}{}, {}, {}, median of {}\n", name, o.n,
             segment, where, o.dtype() == DType::kF16 ? "fp16 codes" : "fp32",
             o.reps);
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
