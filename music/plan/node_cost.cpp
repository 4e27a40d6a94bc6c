#include "music/plan/node_cost.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace music {
namespace {

// Rates that large kernels attain; share is what MLPerf's networks reach of
// them (V100 82 to 92 %, A100 and H100 about 70 %), cuBLAS and cuDNN kernels of
// a captured graph start within 2 to 3 us.
const Processor kProcessors[] = {
    {"v100", 95e12, 0.82e12, 0.85, 3, 32},
    {"a100", 250e12, 1.7e12, 0.75, 3, 80},
    {"h100", 798e12, 3.0e12, 0.75, 3, 80},
    {"h200", 798e12, 4.3e12, 0.70, 3, 141},
};

}  // namespace

bool only_exchanges(const Node& node) { return node.exchanges && !node.work; }

NodeWork work_of(const Graph& graph, const Node& node) {
  if (only_exchanges(node)) return {};
  return node.work ? node.work(graph, node) : traffic(graph, node);
}

Processor processor(const std::string& name) {
  for (const Processor& p : kProcessors)
    if (p.name == name) return p;
  throw error(ExitCode::kUsage, "[plan] processor '{}', expected one of {}",
              name, fmt::join(processor_names(), ", "));
}

std::vector<std::string> processor_names() {
  std::vector<std::string> names;
  for (const Processor& p : kProcessors) names.push_back(p.name);
  return names;
}

double seconds(const Processor& p, const NodeWork& work) {
  const double arithmetic = p.flops > 0 ? work.flops / p.flops : 0;
  const double traffic = p.bytes > 0 ? work.bytes / p.bytes : 0;
  return std::max(arithmetic, traffic) / p.share + p.kernel_us * 1e-6;
}

Profile read_profile(const std::string& path) {
  try {
    std::ifstream file(path);
    const auto j = nlohmann::json::parse(file);
    Profile p;
    const auto& samples = j.at("samples");
    if (samples.is_number_integer()) p.samples = samples;
    p.optimizer_ms = j.at("optimizer_ms");
    bool holds = p.samples > 0 && p.optimizer_ms >= 0;
    for (const auto& n : j.at("nodes")) {
      p.nodes.push_back({n.at("op"), n.at("ms")});
      holds &= p.nodes.back().milliseconds >= 0;
    }
    if (!holds)
      throw error(ExitCode::kData,
                  "[plan] {} has {} samples or a negative time, expected at "
                  "least one sample and times from 0", path, samples.dump());
    return p;
  } catch (const nlohmann::json::exception& e) {
    throw error(ExitCode::kData,
                "[plan] {} is not a profile of bench_step --profile-json: {}",
                path, e.what());
  }
}

std::vector<double> node_seconds(const Graph& graph, const Processor& p) {
  std::vector<double> times;
  for (const Node& node : graph.nodes())
    times.push_back(only_exchanges(node) ? 0
                                         : seconds(p, work_of(graph, node)));
  return times;
}

std::vector<double> node_seconds(const Graph& graph, const Profile& profile,
                                 std::int64_t samples_here) {
  const double scale = static_cast<double>(samples_here) /
                       static_cast<double>(profile.samples) * 1e-3;
  std::vector<double> times;
  std::size_t next = 0;
  for (const Node& node : graph.nodes()) {
    if (only_exchanges(node)) {
      times.push_back(0);
      continue;
    }
    if (next >= profile.nodes.size() || profile.nodes[next].op != node.op)
      throw error(ExitCode::kUsage,
                  "[plan] the profile is of another network: operation {} is "
                  "{}, expected {}", next,
                  next < profile.nodes.size()
                      ? in_quotes(profile.nodes[next].op)
                      : "missing", node.op);
    times.push_back(profile.nodes[next++].milliseconds * scale);
  }
  if (next != profile.nodes.size())
    throw error(ExitCode::kUsage,
                "[plan] the profile is of another network: {} operations, "
                "expected {}", profile.nodes.size(), next);
  return times;
}

}  // namespace music
