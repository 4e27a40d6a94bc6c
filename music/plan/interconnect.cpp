#include "music/plan/interconnect.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace music {
namespace {

using Kind = dist::Collective::Kind;

// Latencies: NCCL takes 6 us for 8 bytes on 2 NVLink GPUs and about 12 on 8, 30
// on two nodes of 8, about 40 on four over EDR (NVIDIA/nccl issues 757, 1259);
// those of HDR and NDR are assumed. Bandwidths are nccl-tests bus bandwidths
// inside, 88 % of the adapters' rate between: two EDR, eight HDR, eight NDR.
const Interconnect kInterconnects[] = {
    {"ideal", 0, {0, 0}, {0, 0}, false},
    {"v100-edr", 3, {3, 130}, {14, 22}, false},
    {"a100-hdr", 3, {3, 230}, {10, 176}, false},
    {"h100-ndr", 3, {3, 350}, {8, 352}, false},
};

// Passes of the payload over a link that separates it into `parts`.
double passes(Kind kind, int parts) {
  const double share = static_cast<double>(parts - 1) / parts;
  switch (kind) {
    case Kind::kAllReduce: return 2 * share;
    case Kind::kBroadcast: return parts > 1 ? 1 : 0;
    case Kind::kBarrier: return 0;
    default: return share;
  }
}

double transfer(const Link& link, double bytes) {
  return link.gb_per_s > 0 ? bytes / (link.gb_per_s * 1e9) : 0;
}

}  // namespace

Interconnect Interconnect::fixed(double latency_us, double gb_per_s) {
  return {"fixed", latency_us, {0, gb_per_s}, {}, true};
}

double seconds(const Interconnect& net, const Layout& layout, Kind kind,
               double payload) {
  if (layout.ranks() == 1) return 0;
  if (net.is_fixed) return net.base_us * 1e-6 + transfer(net.inside, payload);
  const double latency =
      net.base_us + net.inside.latency_us * std::log2(layout.per_node) +
      net.between.latency_us * std::log2(layout.nodes);
  // An all-to-all's payload is a rank's own: a node sends per_node of them.
  const double node =
      kind == Kind::kAllToAll ? payload * layout.per_node : payload;
  const double inside =
      transfer(net.inside, payload * passes(kind, layout.per_node));
  const double between =
      transfer(net.between, node * passes(kind, layout.nodes));
  return latency * 1e-6 + std::max(inside, between);
}

double sent_bytes(int ranks, Kind kind, double payload) {
  return payload * passes(kind, ranks);
}

Interconnect interconnect(const std::string& name) {
  for (const Interconnect& net : kInterconnects)
    if (net.name == name) return net;
  throw error(ExitCode::kUsage, "[plan] network '{}', expected one of {}", name,
              fmt::join(interconnect_names(), ", "));
}

std::vector<std::string> interconnect_names() {
  std::vector<std::string> names;
  for (const Interconnect& net : kInterconnects) names.push_back(net.name);
  return names;
}

}  // namespace music
