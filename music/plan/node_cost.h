#pragma once
// What the nodes of a step cost one process: arithmetic and memory traffic from
// their shapes, time from a roofline or from a profile.

#include <string>
#include <vector>

#include "engine/graph/graph.h"

namespace music {

// A node that has exchanges and no work of its own is nothing but those.
bool only_exchanges(const Node& node);
// What the node says, or each of its tensors passes once; nothing where it is
// only exchanges.
NodeWork work_of(const Graph& graph, const Node& node);

// A processor as kernels see it: attained rates, and what each kernel costs
// beside them.
struct Processor {
  std::string name;
  double flops = 0;           // a second, of the precision it trains in
  double bytes = 0;           // a second
  double share = 1;           // of the roofline that kernels reach
  double kernel_us = 0;       // of each kernel on top
  double memory_gib = 0;
};
// "v100", "a100", "h100", "h200". Throws kUsage.
Processor processor(const std::string& name);
std::vector<std::string> processor_names();

double seconds(const Processor& p, const NodeWork& work);

// Times of a step that was measured on one process: what bench_step
// --profile-json writes.
struct Profile {
  struct Entry { std::string op; double milliseconds = 0; };
  std::vector<Entry> nodes;
  double optimizer_ms = 0;
  std::int64_t samples = 0;
};
// Throws kData.
Profile read_profile(const std::string& path);

// Seconds of every node of a graph, by each. A profile's nodes must be the
// graph's, those of exchanges between processes apart; it scales with samples.
// Throws kUsage when it is of another network.
std::vector<double> node_seconds(const Graph& graph, const Processor& p);
std::vector<double> node_seconds(const Graph& graph, const Profile& profile,
                                 std::int64_t samples_here);

}  // namespace music
