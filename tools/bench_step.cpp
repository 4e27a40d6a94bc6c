// bench_step: one whole training step (two views, loss, optimiser) on synthetic
// pixels: views/s, memory, time per op, and the same step in PyTorch in the
// same run where python3 (or --peer) has it, with the ratio. Each figure is
// printed as soon as it is known.

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <numeric>
#include <nlohmann/json.hpp>
#include <vector>

#include "data/written_name.h"
#include "dist/threads.h"
#include "engine/core/rng.h"
#include "engine/cpu/winograd.h"
#include "engine/io/file.h"
#include "music/files/cpu/cpu_info.h"
#include "tools/bench_common.h"
#include "tools/cli.h"
#include "tools/encoder_cli.h"

namespace {

using namespace music;

struct Options : BenchNetwork {
  int threads = 0, steps = 7, warmup = 2;
  std::int64_t batch = 8;
  std::string optimizer = "lars";
  std::string peer = "python3", peer_script = MUSIC_PEER_SCRIPT;
  std::string device = "auto", precision = "auto";
  std::string profile_file;
  std::vector<std::string> modes{"eager"};
  bool profile = false, json = false;
};

// Of the GPU, since it had free_before bytes free: parameters, activations,
// workspaces and the libraries' own.
double used_device_mib(std::size_t free_before) {
  const std::size_t now = cuda::device_info().free_bytes;
  return static_cast<double>(free_before - std::min(now, free_before)) /
         (1 << 20);
}

// What a figure of a CPU depends on beside the command.
std::string describe_cpu() {
  const cpu::CpuInfo info = cpu::cpu_info();
  return fmt::format("{}, {}, oneDNN {}, 3x3 convolutions {}", info.model,
                     info.isa, info.onednn,
                     cpu::winograd_enabled() ? "by Winograd where it gains"
                                             : "direct");
}

// The last line of the peer that is a JSON object; null when there is none.
nlohmann::json run_peer(const Options& o, const std::string& mode) {
  const std::string command = fmt::format(
      "{} {} --arch resnet{} --width {} --stem {} --size {} --batch {} "
      "--projector {} --segment {} --optimizer {} --threads {} --steps {} "
      "--device {} --precision {} --mode {}",
      o.peer, o.peer_script, o.depth, o.width, o.stem, o.size, o.batch,
      o.projector, o.segment, o.optimizer, omp_get_max_threads(), o.steps,
      o.device, o.precision, mode);
  std::FILE* pipe = popen(command.c_str(), "r");
  if (!pipe) return nullptr;
  nlohmann::json result;
  char line[4096];
  while (std::fgets(line, sizeof line, pipe)) {
    auto parsed = nlohmann::json::parse(line, nullptr, false);
    if (parsed.is_object()) result = std::move(parsed);
  }
  return pclose(pipe) == 0 ? result : nlohmann::json();
}

struct Timing {
  std::vector<double> ms;  // of the steps that count
  int skipped = 0;         // more steps to warm up
  StepOutcome outcome;     // of the last
  std::vector<Executable::NodeTime> nodes;  // of a step, with a profile
};

Timing time_steps(const Options& o, TrainingStep& step, Memory memory) {
  const std::int64_t bytes = 2 * o.batch * o.size * o.size * 3;
  const Buffer pixels(static_cast<std::size_t>(bytes), memory);
  Rng rng(1, RngPurpose::kTest);
  for (std::size_t i = 0; i < pixels.bytes(); ++i)
    pixels.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(rng.next());
  // The loss scale may have to fall first: steps that it keeps from being
  // applied do not count. More of them than from the highest scale to 1 are not
  // its doing.
  constexpr int kMostSkipped = 40;
  Timing t;
  std::vector<Executable::NodeTime> before;
  int warmed = 0, run = 0, counted_from = 0;
  while (std::ssize(t.ms) < o.steps) {
    if (warmed == o.warmup && t.ms.empty()) {
      before = step.executable(o.batch).profile();
      counted_from = run;
    }
    const auto start = std::chrono::steady_clock::now();
    // As the trainer does: the next batch is copied while a step runs.
    if (run == 0 || !step.copies_ahead()) step.stage(pixels.data(), o.batch);
    step.submit(0.01);
    if (step.copies_ahead()) step.stage(pixels.data(), o.batch);
    t.outcome = step.finish();
    const std::chrono::duration<double, std::milli> took =
        std::chrono::steady_clock::now() - start;
    ++run;
    if (!t.outcome.applied) {
      // A step that computes nonsense must not be timed.
      if (t.outcome.loss_scale <= 1 || ++t.skipped > kMostSkipped)
        throw error(ExitCode::kNumerical,
                    "[bench] step {} is not finite, with a loss scale of {}",
                    run, t.outcome.loss_scale);
    } else if (warmed < o.warmup) {
      ++warmed;
    } else {
      t.ms.push_back(took.count());
    }
  }
  t.nodes = step.executable(o.batch).profile();
  for (std::size_t n = 0; n < t.nodes.size(); ++n)
    t.nodes[n].milliseconds =
        (t.nodes[n].milliseconds - before[n].milliseconds) /
        (run - counted_from);
  return t;
}

// Everything so far as one line; the last such line says all.
void print_json(const nlohmann::json& result) {
  fmt::print("{}\n", result.dump());
  std::fflush(stdout);
}

void time_peers(const Options& o, double rate, nlohmann::json& result) {
  const std::string has_torch =
      o.peer + " -c 'import torch, torchvision' 2>/dev/null";
  const bool torch = std::system(has_torch.c_str()) == 0;
  for (const std::string& mode : o.modes) {
    const nlohmann::json peer = torch ? run_peer(o, mode) : nullptr;
    if (!peer.is_object() || !peer.contains("views_per_s")) {
      result["peers"][mode] = nullptr;
      if (!o.json) fmt::print("  {:<8} not available from {}\n", mode, o.peer);
    } else {
      const double theirs = peer["views_per_s"];
      result["peers"][mode] = peer;
      result["ratios"][mode] = rate / theirs;
      if (!o.json)
        fmt::print("  {:<8} {:6.1f} ms/step {:8.2f} views/s  peak {:7.0f} MiB  "
                   "(PyTorch {})\n  ratio  {:.2f}x\n",
                   mode, peer.value("step_ms", 0.0), theirs,
                   peer.value("peak_mib", peer.value("peak_rss_mb", 0.0)),
                   peer.value("torch", std::string("?")), rate / theirs);
    }
    if (o.json) print_json(result);
    std::fflush(stdout);
  }
}

void write_profile(const Options& o, const Timing& t,
                   const nlohmann::json& result) {
  nlohmann::json nodes = nlohmann::json::array();
  double in_nodes = 0;
  for (const auto& n : t.nodes) {
    in_nodes += n.milliseconds;
    nodes.push_back({{"op", n.op}, {"scope", n.scope}, {"ms", n.milliseconds}});
  }
  const double mean = std::accumulate(t.ms.begin(), t.ms.end(), 0.0) /
                      static_cast<double>(t.ms.size());
  const nlohmann::json profile = {
      {"model", result["model"]}, {"device", result["device"]},
      {"samples", o.batch}, {"optimizer_ms", std::max(0.0, mean - in_nodes)},
      {"nodes", std::move(nodes)}};
  FileWriter file(o.profile_file);
  file.write(profile.dump(1) + "\n");
  file.commit();
}

void print_profile(const Timing& t) {
  std::map<std::string, double> by_op;
  double total = 0;
  for (const auto& n : t.nodes) {
    by_op[n.op] += n.milliseconds;
    total += n.milliseconds;
  }
  std::vector<std::pair<double, std::string>> order;
  for (const auto& [op, ms] : by_op) order.emplace_back(ms, op);
  std::sort(order.rbegin(), order.rend());
  for (const auto& [ms, op] : order)
    fmt::print("  {:<34}{:9.2f} ms {:5.1f} %\n", op, ms, 100 * ms / total);
}

int bench_main(int argc, char** argv) {
  CLI::App app("Times a training step against PyTorch.");
  Options o;
  o.add_to(app);
  app.add_option("--batch", o.batch, "samples; the step sees twice as many views");
  app.add_option("--optimizer", o.optimizer, "lars or sgd")
      ->check(CLI::IsMember({"lars", "sgd"}));
  app.add_option("--threads", o.threads, "default: OMP_NUM_THREADS, or else the cores it may use");
  app.add_option("--steps", o.steps, "timed steps (median)")->check(CLI::Range(1, 1000));
  app.add_option("--warmup", o.warmup, "steps before");
  app.add_option("--peer", o.peer, "python that may have PyTorch (default: python3); none: do "
                 "not ask");
  app.add_option("--peer-script", o.peer_script, "the same step in PyTorch");
  app.add_option("--device", o.device, "auto (a GPU where there is one), cpu, cuda")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}));
  app.add_option("--precision", o.precision,
                 "auto (fp32 on the CPU, fp16 on a GPU), fp32, fp16, bf16")
      ->check(CLI::IsMember({"auto", "fp32", "fp16", "bf16"}));
  app.add_option("--modes", o.modes,
                 "of the peer, in this order: eager, compiled, fair "
                 "(step_peer.py says what they are)")
      ->check(CLI::IsMember({"eager", "compiled", "fair"}));
  app.add_flag("--profile", o.profile, "print time per op");
  app.add_option("--profile-json", o.profile_file,
                 "write time per operation there, for music_plan --profile");
  app.add_flag("--json", o.json,
               "print a line of JSON, and one with more in it after each peer");
  if (!parse(app, argc, argv)) return 0;
  data::require_extension("--profile-json", o.profile_file, "JSON", {"json", "txt"});
  omp_set_num_threads(dist::choose_threads(o.threads, 0).compute);

  const Compute compute = choose_compute(o.device, o.precision);
  const std::size_t free_before =
      compute.device == Device::kCuda ? cuda::device_info().free_bytes : 0;
  o.device = name_of(compute.device);
  o.precision = compute.dtype == DType::kF16    ? "fp16"
                : compute.dtype == DType::kBF16 ? "bf16"
                                                : "fp32";
  Model model(o.model(), ParameterStorage{.training = true,
                                          .device = compute.device,
                                          .compute = compute.dtype});
  model.allocate();
  model.parameters().initialise(1);
  TrainingStepSpec spec = o.step();
  spec.optimizer.kind =
      o.optimizer == "lars" ? OptimizerKind::kLars : OptimizerKind::kSgd;
  ExecutableOptions options = executable_options_from_environment();
  options.profile = o.profile || !o.profile_file.empty();
  TrainingStep step(model, spec, {o.batch}, options);

  const Timing t = time_steps(o, step,
                              compute.device == Device::kCpu ? Memory::kHost
                                                             : Memory::kPinned);
  const double step_ms = median(t.ms);
  const double peak_mib = compute.device == Device::kCpu
                              ? peak_rss_mib()
                              : used_device_mib(free_before);
  const double rate = 2e3 * static_cast<double>(o.batch) / step_ms;
  const auto mib = [](std::size_t b) { return static_cast<double>(b) / (1 << 20); };
  nlohmann::json result = {
      {"model", fmt::format("resnet{} width {} {}x{}, batch {}x2, projector {}",
                            o.depth, o.width, o.size, o.size, o.batch, o.projector)},
      {"device", describe(compute)}, {"cpu", describe_cpu()},
      {"threads", omp_get_max_threads()}, {"step_ms", step_ms},
      {"views_per_s", rate}, {"peak_mib", peak_mib},
      {"activations_mib", mib(step.memory().arena)},
      {"workspace_mib", mib(step.memory().workspace)},
      {"loss", t.outcome.total}, {"loss_scale", t.outcome.loss_scale},
      {"more_warmup", t.skipped}};
  if (t.skipped > 0)
    fmt::print(stderr, "bench_step: {} more steps to warm up: the loss scale "
               "fell to {}\n", t.skipped, t.outcome.loss_scale);
  if (!o.json)
    fmt::print("{}, {}, {} threads\n"
               "  on     {}\n"
               "  ours   {:8.1f} ms/step {:8.2f} views/s  peak {:7.0f} MiB "
               "(activations {:.0f}, workspace {:.0f})\n",
               result["model"].get<std::string>(), describe(compute),
               omp_get_max_threads(), describe_cpu(), step_ms, rate, peak_mib,
               mib(step.memory().arena),
               mib(step.memory().workspace));
  if (o.json) print_json(result);
  if (o.profile) print_profile(t);
  if (!o.profile_file.empty()) write_profile(o, t, result);
  std::fflush(stdout);
  if (o.peer != "none") time_peers(o, rate, result);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, bench_main);
}
