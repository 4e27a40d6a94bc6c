#pragma once
// What an exchange between processes costs: latency and bandwidth inside a node
// and between nodes.

#include <cstddef>
#include <string>
#include <vector>

#include "dist/communicator.h"

namespace music {

struct Link {
  double latency_us = 0;  // that each doubling of the participants adds
  double gb_per_s = 0;    // attained, in each direction; 0: infinite
};

struct Interconnect {
  std::string name;
  double base_us = 0;  // latency of any exchange between two or more
  Link inside;   // a node: bandwidth of a process
  Link between;  // nodes: bandwidth of a node, all its adapters together

  // Every exchange takes latency + payload / bandwidth, whatever its kind and
  // the number of processes: an injected delay.
  static Interconnect fixed(double latency_us, double gb_per_s);
  bool is_fixed = false;
};

// Where processes are. One a GPU.
struct Layout {
  int nodes = 1, per_node = 1;
  int ranks() const { return nodes * per_node; }
};

// Seconds of one collective whose larger side has `payload` bytes
// (Collective::bytes()). Ring or pairwise algorithms inside and between nodes
// at the same time: the slower of the two decides.
double seconds(const Interconnect& net, const Layout& layout,
               dist::Collective::Kind kind, double payload);

// Bytes that a rank sends for it.
double sent_bytes(int ranks, dist::Collective::Kind kind, double payload);

// "v100-edr", "a100-hdr", "h100-ndr"; "ideal" costs nothing. Throws kUsage.
Interconnect interconnect(const std::string& name);
std::vector<std::string> interconnect_names();

}  // namespace music
