#include "tools/plan_scaling.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "music/plan/planned_step.h"
#include "music/train/trainer.h"

namespace music {
namespace {

struct Traffic { double sent = 0; int count = 0; };

// What a rank sends, by collective.
std::map<std::string, Traffic> traffic(const StepPrediction& p, int ranks) {
  std::map<std::string, Traffic> by_kind;
  for (const PlannedCollective& c : p.collectives) {
    dist::Collective named;
    named.kind = c.kind;
    Traffic& t = by_kind[named.name()];
    t.sent += sent_bytes(ranks, c.kind, c.bytes);
    ++t.count;
  }
  return by_kind;
}

Interconnect network(const ScalingOptions& o) {
  // The network that such machines are sold with.
  const std::string usual = o.processor == "v100"   ? "v100-edr"
                            : o.processor == "a100" ? "a100-hdr"
                                                    : "h100-ndr";
  Interconnect net = interconnect(o.network.empty() ? usual : o.network);
  const auto replace = [&](double& value, double by) {
    if (by < 0) return;
    value = by;
    net.name += net.name.ends_with('*') ? "" : "*";
  };
  replace(net.inside.latency_us, o.inside_us);
  replace(net.inside.gb_per_s, o.inside_gb);
  replace(net.between.latency_us, o.between_us);
  replace(net.between.gb_per_s, o.between_gb);
  return net;
}

std::string text(const StepPrediction& p, std::int64_t samples,
                 std::int64_t views, const Layout& layout,
                 const std::string& what) {
  std::string all;
  const auto row = [&](const char* name, double seconds,
                       const std::string& note = {}) {
    all += fmt::format("  {:<22}{:>12.3f} ms   {}\n", name, seconds * 1e3,
                       note);
  };
  all += fmt::format(
      "a step of {} samples on {} {} of {} {}, {}\n", samples, layout.nodes,
      layout.nodes == 1 ? "node" : "nodes", layout.per_node,
      layout.per_node == 1 ? "process" : "processes", what);
  row("operations", p.compute);
  row("optimiser", p.optimizer);
  row("batch norm's sums", p.exposed_norm, "waiting");
  row("loss's exchanges", p.exposed_loss, "waiting");
  row("gradients", p.exposed_gradients,
      fmt::format("waiting; {:.3f} ms in the background", p.background * 1e3));
  if (p.waiting_for_input > 0) row("images", p.waiting_for_input, "waiting");
  row("step", p.seconds,
      fmt::format("{:.0f} views/s, {:.1f} % of as many processes alone",
                  static_cast<double>(views) / p.seconds,
                  100 * p.efficiency()));
  if (layout.ranks() > 1) all += "a process sends in a step\n";
  for (const auto& [name, t] : traffic(p, layout.ranks()))
    all += fmt::format("  {:<22}{:>12.3f} MB   in {}\n", name, t.sent / 1e6,
                       t.count);
  return all;
}

}  // namespace

void ScalingOptions::add_to(CLI::App& app) {
  const auto positive = CLI::PositiveNumber;
  app.add_option("--nodes", layout.nodes, "machines")
      ->check(CLI::Range(1, 1 << 16));
  app.add_option("--gpus", layout.per_node, "processes a machine, one a GPU")
      ->check(CLI::Range(1, 1 << 10));
  app.add_option("--gpu", processor, "their kind (default: h100)")
      ->check(CLI::IsMember(processor_names()));
  app.add_option("--profile", profile,
                 "times of bench_step --profile-json, in place of --gpu's");
  app.add_option("--network", network, "what connects them (default: the "
                 "usual one of the GPU)")
      ->check(CLI::IsMember(interconnect_names()));
  app.add_option("--inside-us", inside_us, "latency inside a node, each "
                 "doubling")->check(CLI::NonNegativeNumber);
  app.add_option("--inside-gb", inside_gb, "GB/s of a process inside a node")
      ->check(positive);
  app.add_option("--between-us", between_us, "latency between nodes, each "
                 "doubling")->check(CLI::NonNegativeNumber);
  app.add_option("--between-gb", between_gb, "GB/s of a node")->check(positive);
  app.add_option("--images-per-s", images_per_s,
                 "that the loaders of a node deliver (default: enough)")
      ->check(positive);
}

bool ScalingOptions::settle(const CLI::App& app) {
  const bool wanted = app.count("--nodes") + app.count("--gpus") +
                          app.count("--gpu") + app.count("--profile") > 0;
  if (wanted && processor.empty() && profile.empty()) processor = "h100";
  return wanted;
}

std::string plan_scaling(const ScalingOptions& o, const Config& config,
                         const Compute& compute, bool json) {
  if (compute.device == Device::kCpu && o.profile.empty())
    throw error(ExitCode::kUsage,
                "[plan] a step on CPUs without --profile: expected the times "
                "of bench_step --profile-json");
  PlannedStep step(model_spec(config), training_step_spec(config),
                   config.train.batch, compute, o.layout);
  std::string what;
  if (o.profile.empty()) {
    step.price(processor(o.processor));
    what = o.processor + " as a roofline";
  } else {
    step.price(read_profile(o.profile));
    what = o.profile;
  }
  StepModel& m = step.model();
  m.net = network(o);
  if (o.layout.ranks() > 1) what += ", network " + m.net.name;
  if (o.images_per_s > 0)
    m.input_seconds = static_cast<double>(step.samples_here()) *
                      o.layout.per_node / o.images_per_s;
  const StepPrediction p = predict(m);
  if (!json)
    return text(p, config.train.batch,
                needs_of(config.method).views * config.train.batch, o.layout,
                what);
  nlohmann::json sent = nlohmann::json::object();
  for (const auto& [name, t] : traffic(p, o.layout.ranks()))
    sent[name] = {{"bytes", t.sent}, {"count", t.count}};
  const nlohmann::json step_json = {
      {"nodes", o.layout.nodes}, {"processes_a_node", o.layout.per_node},
      {"basis", what}, {"step_ms", p.seconds * 1e3},
      {"efficiency", p.efficiency()}, {"operations_ms", p.compute * 1e3},
      {"optimizer_ms", p.optimizer * 1e3},
      {"waiting_norm_ms", p.exposed_norm * 1e3},
      {"waiting_loss_ms", p.exposed_loss * 1e3},
      {"waiting_gradients_ms", p.exposed_gradients * 1e3},
      {"waiting_images_ms", p.waiting_for_input * 1e3},
      {"background_ms", p.background * 1e3}, {"sent", std::move(sent)}};
  return step_json.dump();
}

}  // namespace music
