// bench_step: one whole training step (two views, loss, optimiser) on synthetic
// pixels: views/s, memory, time per op, and the same step in PyTorch in the
// same run where python3 (or --peer) has it, with the ratio.

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <numeric>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "engine/core/rng.h"
#include "engine/io/file.h"
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
  bool profile = false, compile = false, json = false;
};

// Of the GPU, since it had free_before bytes free: parameters, activations,
// workspaces and the libraries' own.
double used_device_mib(std::size_t free_before) {
  const std::size_t now = cuda::device_info().free_bytes;
  return static_cast<double>(free_before - std::min(now, free_before)) /
         (1 << 20);
}

// The last line of the peer that is a JSON object; null when there is none.
nlohmann::json run_peer(const Options& o, bool compile) {
  const std::string command = fmt::format(
      "{} {} --arch resnet{} --width {} --stem {} --size {} --batch {} "
      "--projector {} --segment {} --optimizer {} --threads {} --steps {} "
      "--device {} --precision {}{}",
      o.peer, o.peer_script, o.depth, o.width, o.stem, o.size, o.batch,
      o.projector, o.segment, o.optimizer, omp_get_max_threads(), o.steps,
      o.device, o.precision, compile ? " --compile" : "");
  const std::string has_torch =
      o.peer + " -c 'import torch, torchvision' 2>/dev/null";
  if (std::system(has_torch.c_str()) != 0) return nullptr;
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

int bench_main(int argc, char** argv) {
  CLI::App app("Times a training step against PyTorch.");
  Options o;
  o.add_to(app);
  app.add_option("--batch", o.batch, "samples; the step sees twice as many views");
  app.add_option("--optimizer", o.optimizer, "lars or sgd")
      ->check(CLI::IsMember({"lars", "sgd"}));
  app.add_option("--threads", o.threads, "default: all cores");
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
  app.add_flag("--compile", o.compile,
               "time the peer under torch.compile too");
  app.add_flag("--profile", o.profile, "print time per op");
  app.add_option("--profile-json", o.profile_file,
                 "write time per operation there, for music_plan --profile");
  app.add_flag("--json", o.json, "print one JSON object");
  if (!parse(app, argc, argv)) return 0;
  omp_set_num_threads(o.threads > 0 ? o.threads
                                    : static_cast<int>(std::thread::hardware_concurrency()));

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

  const Buffer pixels(static_cast<std::size_t>(2 * o.batch * o.size * o.size * 3),
                      compute.device == Device::kCpu ? Memory::kHost
                                                     : Memory::kPinned);
  Rng rng(1, RngPurpose::kTest);
  for (std::size_t i = 0; i < pixels.bytes(); ++i)
    pixels.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(rng.next());
  std::vector<double> ms;
  std::vector<Executable::NodeTime> before;  // the timed steps
  StepOutcome outcome;
  // A loss scale may have to fall first: steps that it keeps from being applied
  // are neither timed nor counted, up to a bound that ends at a scale of 1.
  constexpr int kMostSkipped = 40;
  int warmed = 0, skipped = 0, run = 0;
  while (static_cast<int>(ms.size()) < o.steps) {
    if (warmed == o.warmup && before.empty())
      before = step.executable(o.batch).profile();
    const auto start = std::chrono::steady_clock::now();
    // As the trainer does: the next batch is copied while a step runs.
    if (run == 0 || !step.copies_ahead()) step.stage(pixels.data(), o.batch);
    step.submit(0.01);
    if (step.copies_ahead()) step.stage(pixels.data(), o.batch);
    outcome = step.finish();
    const std::chrono::duration<double, std::milli> t =
        std::chrono::steady_clock::now() - start;
    ++run;
    if (!outcome.applied) {
      // A step that computes nonsense must not be timed.
      if (outcome.loss_scale <= 1 || ++skipped > kMostSkipped)
        throw error(ExitCode::kNumerical, "[bench] step {} is not finite, loss "
                    "scale {}", run, outcome.loss_scale);
    } else if (warmed < o.warmup) {
      ++warmed;
    } else {
      ms.push_back(t.count());
    }
  }
  if (skipped > 0)
    fmt::print(o.json ? stderr : stdout, "{} steps more to warm up: the loss "
               "scale fell to {}\n", skipped, outcome.loss_scale);
  const double step_ms = median(ms);
  const double peak_mib = compute.device == Device::kCpu
                              ? peak_rss_mib()
                              : used_device_mib(free_before);
  const double rate = 2e3 * static_cast<double>(o.batch) / step_ms;
  const auto mib = [](std::size_t b) { return static_cast<double>(b) / (1 << 20); };
  nlohmann::json result = {
      {"model", fmt::format("resnet{} width {} {}x{}, batch {}x2, projector {}",
                            o.depth, o.width, o.size, o.size, o.batch, o.projector)},
      {"device", describe(compute)},
      {"threads", omp_get_max_threads()}, {"step_ms", step_ms},
      {"views_per_s", rate}, {"peak_mib", peak_mib},
      {"activations_mib", mib(step.memory().arena)},
      {"workspace_mib", mib(step.memory().workspace)},
      {"loss", outcome.terms.total}};
  if (!o.json)
    fmt::print("{}, {}, {} threads\n"
               "  ours   {:8.1f} ms/step {:8.2f} views/s  peak {:7.0f} MiB "
               "(activations {:.0f}, workspace {:.0f})\n",
               result["model"].get<std::string>(), describe(compute),
               omp_get_max_threads(), step_ms, rate, peak_mib, mib(step.memory().arena),
               mib(step.memory().workspace));
  const auto beside = [&](const char* key, const char* ratio, bool compile) {
    const char* name = compile ? "compiled" : "torch";
    const nlohmann::json peer = run_peer(o, compile);
    if (!peer.is_object() || !peer.contains("views_per_s")) {
      result[key] = nullptr;
      if (!o.json) fmt::print("  {:<8} not available from {}\n", name, o.peer);
      return;
    }
    const double theirs = peer["views_per_s"];
    result[key] = peer;
    result[ratio] = rate / theirs;
    if (!o.json)
      fmt::print("  {:<8} {:6.1f} ms/step {:8.2f} views/s  peak {:7.0f} MiB  "
                 "(PyTorch {})\n  ratio  {:.2f}x\n",
                 name, peer.value("step_ms", 0.0), theirs,
                 peer.value("peak_mib", peer.value("peak_rss_mb", 0.0)),
                 peer.value("torch", std::string("?")), rate / theirs);
  };
  if (o.peer != "none") {
    beside("peer", "ratio", false);
    if (o.compile) beside("peer_compiled", "ratio_compiled", true);
  }
  if (o.json) fmt::print("{}\n", result.dump());
  if (!o.profile_file.empty()) {
    nlohmann::json nodes = nlohmann::json::array();
    double in_nodes = 0;
    const auto& after = step.executable(o.batch).profile();
    for (std::size_t n = 0; n < after.size(); ++n) {
      const double t = (after[n].milliseconds - before[n].milliseconds) / o.steps;
      in_nodes += t;
      nodes.push_back({{"op", after[n].op}, {"scope", after[n].scope}, {"ms", t}});
    }
    const double mean = std::accumulate(ms.begin(), ms.end(), 0.0) / o.steps;
    const nlohmann::json profile = {
        {"model", result["model"]}, {"device", describe(compute)},
        {"samples", o.batch}, {"optimizer_ms", std::max(0.0, mean - in_nodes)},
        {"nodes", std::move(nodes)}};
    FileWriter file(o.profile_file);
    file.write(profile.dump(1) + "\n");
    file.commit();
  }
  if (o.profile) {
    std::map<std::string, double> by_op;
    double total = 0;
    for (const auto& n : step.executable(o.batch).profile()) {
      by_op[n.op] += n.milliseconds / (o.warmup + o.steps);
      total += n.milliseconds / (o.warmup + o.steps);
    }
    std::vector<std::pair<double, std::string>> order;
    for (const auto& [op, t] : by_op) order.emplace_back(t, op);
    std::sort(order.rbegin(), order.rend());
    for (const auto& [t, op] : order)
      fmt::print("  {:<34}{:9.2f} ms {:5.1f} %\n", op, t, 100 * t / total);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return music::run_main(argc, argv, bench_main);
}
